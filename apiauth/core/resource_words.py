"""What a key is bound to, as people read it: a resource that its app has dropped must not look like one that opens."""

from collections.abc import Collection, Sequence

from apiauth.core.marked_names import MarkedName, marked
from apiauth.core.resource import dropped_resources

DROPPED = "no longer named by the app, opens nothing"
REFUSED = "This key is refused everywhere: the app no longer names any resource that it is bound to."
WOULD_BE_REFUSED = (
    "With this change the key is refused everywhere: the app names none of the resources that it would be bound to."
)


def bound_resources(resources: Sequence[str], catalogue: Collection[str]) -> list[MarkedName]:
    """Return a key's resources, each dropped one with its mark."""
    return marked(resources, dropped_resources(resources, catalogue), DROPPED)


def refused_everywhere(resources: Sequence[str], catalogue: Collection[str], *, sentence: str = REFUSED) -> str:
    """Return the sentence for a key that opens nothing, all its resources being dropped; empty for any other."""
    return sentence if resources and len(dropped_resources(resources, catalogue)) == len(resources) else ""
