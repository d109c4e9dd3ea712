"""The one error object; errors.answer makes it."""

from typing import NotRequired

from typing_extensions import TypedDict

from apiauth.http.wire.policy import AffectedKeysJson


class ProblemJson(TypedDict):
    """One thing that is wrong."""

    message: str
    code: int
    field: NotRequired[str]


class BrowserProblemJson(TypedDict):
    """One thing that is wrong, with a word as its code."""

    message: str
    code: str
    field: NotRequired[str]


class _ErrorJson(TypedDict):
    message: str
    code: str
    request_id: str


class ErrorJson(_ErrorJson):
    """Why nothing was done."""

    details: dict[str, str | AffectedKeysJson] | None
    errors: list[ProblemJson]


class BrowserErrorJson(_ErrorJson):
    """Why nothing was done, in the envelope of the browser session API."""

    status: int
    details: dict[str, str] | None
    data: None
    session: None
    errors: list[BrowserProblemJson]
