"""Gives each name that stands in many decisions a number, which is what the decisions keep."""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from apiauth.audit.statements import sql

LONGEST_NAME = 200  # in characters; longer than a key's name or a host's can be
_MOST_KNOWN = 100_000
_UNSAFE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")


class Names:
    """Numbers names over one connection, and remembers those that are committed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}

    def numbered(self, names: Iterable[str]) -> Mapping[str, int]:
        """Return the number of every name, noting those that are new in the caller's transaction."""
        wanted = set(names)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        if missing := wanted - self._known.keys():
            self._known |= self._read(missing)
        if new := wanted - self._known.keys():
            self._connection.execute(sql("note_names"), {"texts": [_kept(name) for name in new]})
            # Not remembered: the transaction may yet be rolled back, and its numbers with it.
            return self._known | self._read(new)
        return self._known

    def _read(self, names: set[str]) -> dict[str, int]:
        texts = {name: _kept(name) for name in names}
        found = dict(self._connection.execute(sql("read_names"), {"texts": list(texts.values())}).fetchall())
        return {name: found[text] for name, text in texts.items() if text in found}


def _kept(name: str) -> str:
    """Return a name as the database can hold it."""
    return name[:LONGEST_NAME].translate(_UNSAFE)
