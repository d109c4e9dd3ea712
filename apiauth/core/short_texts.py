"""A cache of what short texts come to: bounded in bytes too, whoever chooses the texts."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Result = TypeVar("Result")

LONGEST_CACHED = 256
"""In characters. What real callers ask about again and again is shorter; a long text is worked out anew each time."""


def cached_if_short(most: int) -> Callable[[Callable[[str], Result]], Callable[[str], Result]]:
    """Cache the late results of a function of one text, `most` at a time, for texts of up to LONGEST_CACHED."""

    def decorate(work: Callable[[str], Result]) -> Callable[[str], Result]:
        cached = lru_cache(maxsize=most)(work)

        @wraps(work)
        def look_up_or_work(text: str) -> Result:
            return cached(text) if len(text) <= LONGEST_CACHED else work(text)

        return look_up_or_work

    return decorate
