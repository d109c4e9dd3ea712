"""The one error object; errors.answer makes it."""

from typing import NotRequired

from typing_extensions import TypedDict


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
    details: dict[str, str] | None
    request_id: str


class ErrorJson(_ErrorJson):
    """Why nothing was done."""

    errors: list[ProblemJson]


class BrowserErrorJson(_ErrorJson):
    """Why nothing was done, in the envelope of the browser session API."""

    status: int
    data: None
    session: None
    errors: list[BrowserProblemJson]
