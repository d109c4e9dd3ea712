"""Names that a key holds, each with a mark where its app has dropped it: what is odd must not go unseen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MarkedName:
    """One permission or resource of a key; the mark says what is odd about it, and is empty where nothing is."""

    name: str
    mark: str

    def __str__(self) -> str:
        return f"{self.name} ({self.mark})" if self.mark else self.name


def marked(names: Sequence[str], dropped: Collection[str], mark: str) -> list[MarkedName]:
    """Return names in their order, each dropped one with the mark."""
    return [MarkedName(name, mark if name in dropped else "") for name in names]
