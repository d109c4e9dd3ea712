"""The limits that web processes keep themselves, counted over all of them on one host."""

import threading
from functools import cache

from django.conf import settings

from apiauth.verify.limiter import Limiter

SLOTS = 1 << 14

_one_maker = threading.Lock()


def limiter() -> Limiter:
    """Return the one limiter of this process; `cache` alone would let first calls at once make one each."""
    with _one_maker:
        return _made()


@cache
def _made() -> Limiter:
    return Limiter(settings.ENVIRONMENT.limits_dir / "calls", SLOTS)
