"""Figures as rows: what, how much, the target, met or not; kept with the machine and the commit."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    what: str
    figure: float
    target: str = ""
    met: bool | None = None


def print_rows(rows: list[Row]) -> None:
    """Print the rows as a table."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        verdict = "" if row.met is None else ("met" if row.met else "NOT MET")
        print(f"{row.what:<{width}}  {row.figure:>12,.2f}  {row.target:>12}  {verdict}")


def save(name: str, rows: list[Row], **context: Any) -> None:
    """Write the rows to bench/results/<name>.json with the machine and the commit."""
    RESULTS.mkdir(exist_ok=True)
    described = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **context,
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(described, indent=2) + "\n")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
