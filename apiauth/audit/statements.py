"""SQL that stands in files of its own, by name."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import LiteralString


def statements(folder: Path) -> Callable[[str], LiteralString]:
    """Return the function that reads `<folder>/<name>.sql`; the text ships with the code, as literal as code is."""

    @cache
    def sql(name: str) -> LiteralString:
        return (folder / f"{name}.sql").read_text()

    return sql


sql = statements(Path(__file__).parent / "sql")
