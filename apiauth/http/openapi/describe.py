"""What an operation says of itself, told by decorators beside its code.

Nothing here touches a request: an answer is described by its type, and never validated against it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ninja.operation import Operation
from ninja.utils import contribute_operation_callback
from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])
MARK = "x-description"  # stands in ninja's document until the assembler takes it out


@dataclass(slots=True)
class Described:
    """What the decorators of one operation have told."""

    access: Any
    shape: Any = None
    status: int = 200
    refusals: set[int] = field(default_factory=set)
    answer_headers: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    form: type[BaseModel] | None = None
    files: dict[str, str] = field(default_factory=dict)
    meaning: str = ""
    links: dict[str, Any] = field(default_factory=dict)


def answers(
    shape: Any, *refusals: int, status: int = 200, headers: Collection[str] = (), links: dict[str, Any] | None = None
) -> Callable[[View], View]:
    """Tell the type of what an operation answers with, and with which statuses it refuses.

    What every operation of its kind may refuse with (400, 401, 403, 429, 503, and for bodies 411,
    413, 415) goes without saying. `shape` None is an answer without a body.
    """

    def tell(described: Described) -> None:
        described.shape, described.status = shape, status
        described.refusals.update(refusals)
        described.answer_headers.extend(headers)
        described.links.update(links or {})

    return _telling(tell)


def hands_out(meaning: str, files: dict[str, str], *refusals: int) -> Callable[[View], View]:
    """Tell that an operation answers with a file: what it is, and how it begins as each media type."""

    def tell(described: Described) -> None:
        described.meaning, described.files = meaning, files
        described.refusals.update(refusals)
        described.answer_headers.append("Content-Disposition")

    return _telling(tell)


def reads_form(form: type[BaseModel]) -> Callable[[View], View]:
    """Tell which form fields an operation reads by itself."""

    def tell(described: Described) -> None:
        described.form = form

    return _telling(tell)


def reads_header(*names: str, refusals: Collection[int] = ()) -> Callable[[View], View]:
    """Tell which request headers an operation reads, by their names among the components."""

    def tell(described: Described) -> None:
        described.headers.extend(names)
        described.refusals.update(refusals)

    return _telling(tell)


def _telling(tell: Callable[[Described], None]) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        contribute_operation_callback(view, lambda operation: tell(_of(operation)))
        return view

    return decorate


def _of(operation: Operation) -> Described:
    extra = operation.openapi_extra = operation.openapi_extra or {}
    described: Described = extra.setdefault(MARK, Described(access=operation.auth_param))
    return described
