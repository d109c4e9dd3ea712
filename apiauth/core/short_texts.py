"""A cache of what short texts come to: bounded in bytes too, whoever chooses the texts."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

LONGEST_CACHED = 256
"""In characters. What real callers ask about again and again is shorter; a long text is worked out anew each time."""


def cached_if_short(most: int) -> Callable[[Callable[[str], Result]], Callable[[str], Result]]:
    """Cache the results of a function of one text, `most` of them, for texts of up to LONGEST_CACHED.

    What comes out takes a text by its place alone. It is the look-up in a dictionary itself, a fifth of what a function
    around one takes: the gateway does several for each check.
    """

    def decorate(work: Callable[[str], Result]) -> Callable[[str], Result]:
        return _Results(work, most).__getitem__

    return decorate


class _Results(dict[str, Result]):
    """What texts came to. All is forgotten where one more would be too many: what is asked often is soon back."""

    def __init__(self, work: Callable[[str], Result], most: int) -> None:
        super().__init__()
        self._work = work
        self._most = most

    def __missing__(self, text: str) -> Result:
        result = self._work(text)
        if len(text) <= LONGEST_CACHED:
            if len(self) >= self._most:
                self.clear()
            self[text] = result
        return result
