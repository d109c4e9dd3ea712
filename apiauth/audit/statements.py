"""SQL that stands in a file of its own, by name."""

from functools import cache
from pathlib import Path
from typing import LiteralString

_FOLDER = Path(__file__).parent / "sql"


@cache
def sql(name: str) -> LiteralString:
    """Return the text of `sql/<name>.sql`; it ships with the code, so it is as literal as code is."""
    return (_FOLDER / f"{name}.sql").read_text()
