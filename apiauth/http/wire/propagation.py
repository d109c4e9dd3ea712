"""How far a change has come on its way to the gateways."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class GatewaysJson(TypedDict):
    """How many gateways have taken a change in, of those that may still answer."""

    acknowledged: int
    live: int


class PropagatedJson(TypedDict):
    """That it is done, and whether it is in force where the call asked to wait for that."""

    propagated: NotRequired[bool]
    gateways: NotRequired[GatewaysJson]


class RevokedJson(PropagatedJson):
    """That a key is ended, for a page, and whether that is in force where the call asked to wait for that."""

    success: Literal[True]
