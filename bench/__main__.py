"""Every part of the bench in turn, and one table of what they found.

    python -m bench [--smoke | --full] [--save] [PART …]

Each part runs in processes of its own over a database of its own, and stands alone as `python -m bench.PART`.
A normal run takes about half an hour; `--smoke` is what a change is held to; `--full` takes hours and some 10 GB.
`--save` keeps the figures of each part in bench/results and writes them into the documents that show them.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable

from bench.report import Row, add_sizes, print_rows

# In the order of their running; a short run leaves out what says little in seconds.
PARTS = (
    "check",
    "steps",
    "peers",
    "scaling",
    "latency",
    "snapshot",
    "drain",
    "reading",
    "policy",
    "management",
    "portal",
    "python_client",
    "limits",
    "reload",
    "faults",
    "start",
)
SHORT = ("check", "peers", "scaling", "policy", "management", "python_client")


def main() -> None:
    """Run the parts, print the table; exit with 1 where a part failed or a short run is beyond all margins."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sizes(parser)
    parser.add_argument("--save", action="store_true", help="keep the figures, and write them into the documents")
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    switches = [f"--{name}" for name in ("smoke", "full", "save") if getattr(chosen, name)]
    found: list[Row] = []
    failed = []
    for part in chosen.parts or (SHORT if chosen.smoke else PARTS):
        rows, is_sound = run_part(part, switches)
        found += rows
        failed += [] if is_sound else [part]
    print_rows(by_number(found))
    sys.exit(f"out of all bounds, or broken: {', '.join(failed)}" if failed else 0)


def run_part(part: str, switches: list[str]) -> tuple[list[Row], bool]:
    """Run one part; return its rows, and whether it ended well. What goes wrong in it stands on stderr."""
    began = time.monotonic()
    print(f"{part} …", end=" ", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"bench.{part}", "--json", *switches]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    lines = ended.stdout.splitlines()
    return [Row(**each) for each in json.loads(lines[-1])] if lines else [], ended.returncode == 0


def by_number(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with a target's number first, in its order, then all others as they came."""
    return sorted(rows, key=lambda each: int(each.number[1:]) if each.number else 1_000)


if __name__ == "__main__":
    main()
