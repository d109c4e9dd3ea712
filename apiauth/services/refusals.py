"""Keeps a refusal on record although the call that was refused is undone."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from apiauth.core.errors import NotAllowed


@contextmanager
def atomic_but_for_refusals() -> Iterator[None]:
    """Begin a transaction that is kept where NotAllowed is raised, and undone by whatever else is.

    An attempt beyond a role is written down before it is refused. What a service had begun by
    then, it undoes itself: each is one transaction.
    """
    refusal = None
    with transaction.atomic():
        try:
            yield
        except NotAllowed as raised:
            refusal = raised
    if refusal is not None:
        raise refusal
