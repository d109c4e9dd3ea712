"""Figures as rows: what, how much, how far the repeats lie apart, the target, met or not; and how a part is run.

A part of the bench is a module with `table(options)`, which returns its rows, and

    if __name__ == "__main__":
        run("its name", table, __doc__)

so that it stands alone as `python -m bench.PART [--smoke | --full] [--save] [--json]`, and `python -m bench`
runs it among the others.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Row:
    """One measured figure; a target's number, such as P4, stands first in `what`."""

    what: str
    figure: float
    target: str = ""
    met: bool | None = None
    low: float | None = None
    high: float | None = None
    sane: bool | None = None
    """Whether it holds with a margin wide enough for a short run on a busy machine; None where that is not asked."""

    @property
    def number(self) -> str:
        """Return the target's number, or nothing."""
        found = re.match(r"P\d+\b", self.what)
        return found[0] if found else ""


@dataclass(frozen=True)
class Options:
    """How much is measured: `smoke` asks whether it runs at all, `full` takes its time."""

    smoke: bool = False
    full: bool = False

    def pick(self, smoke: Choice, normal: Choice, full: Choice | None = None) -> Choice:
        """Return the value for this size of a run."""
        if self.smoke:
            return smoke
        return full if self.full and full is not None else normal


Table = Callable[[Options], Iterable[Row]]


def row(
    what: str,
    repeats: Sequence[float] | float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    sane: float | None = None,
) -> Row:
    """Return the median of the repeats with their least and most, held against a bound.

    `sane` is a bound of the same kind with a wide margin, which short runs are held to.
    """
    figures = [repeats] if isinstance(repeats, int | float) else list(repeats)
    middle = statistics.median(figures)
    bound, sign = (at_least, ">=") if at_least is not None else (at_most, "<=")

    def holds(limit: float | None) -> bool | None:
        return None if limit is None else middle >= limit if sign == ">=" else middle <= limit

    return Row(
        what,
        middle,
        target="" if bound is None else f"{sign} {bound:,g}",
        met=holds(bound),
        low=min(figures) if len(figures) > 1 else None,
        high=max(figures) if len(figures) > 1 else None,
        sane=holds(sane),
    )


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return the ratio of each round: what disturbs a round disturbs both of its figures."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def print_rows(rows: Iterable[Row]) -> None:
    """Print the rows as a table."""
    cells = [("what", "median", "least to most", "target", "")]
    cells += [
        (each.what, f"{each.figure:,.2f}", spread(each), each.target, {None: "", True: "met"}.get(each.met, "NOT MET"))
        for each in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for what, figure, low_to_high, target, verdict in cells:
        print(
            f"{what:<{widths[0]}}  {figure:>{widths[1]}}  {low_to_high:>{widths[2]}}  {target:>{widths[3]}}  {verdict}"
        )


def spread(each: Row) -> str:
    """Return the least and the most of a row's repeats as text, nothing where it was measured once."""
    return "" if each.low is None or each.high is None else f"{each.low:,.2f} to {each.high:,.2f}"


def save(name: str, rows: Iterable[Row], **context: Any) -> None:
    """Write the rows to bench/results/<name>.json with the machine and the commit."""
    RESULTS.mkdir(exist_ok=True)
    described = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "machine": machine(),
        "load_average": round(os.getloadavg()[1], 2),
        **context,
        "rows": [_as_json(each) for each in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")


def machine() -> str:
    """Return what the figures were measured on."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = f" ({model[1]})" if model else ""
    return f"{platform.machine()}{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def run(name: str, table: Table, description: str, **context: Any) -> None:
    """Measure a part, print its rows, keep them where asked to; exit with 1 where a short run is beyond all margins."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sizes(parser)
    parser.add_argument("--save", action="store_true", help=f"write bench/results/{name}.json and the documents")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, and nothing else")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers under load end as well
    options = Options(smoke=chosen.smoke, full=chosen.full)
    rows = list(table(options))
    if chosen.json:
        print(json.dumps([_as_json(each) for each in rows]))
    else:
        print_rows(rows)
    if chosen.save:
        from bench import documents  # which read what is kept here

        save(name, rows, size=options.pick("smoke", "normal", "full"), **context)
        documents.write()
    sys.exit(any(each.sane is False for each in rows))


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Let a command choose how much is measured."""
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a few seconds: does it run, and is nothing far off?")
    size.add_argument("--full", action="store_true", help="as many keys, decisions and repeats as the targets name")


def _as_json(each: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(each).items() if name != "sane"}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
