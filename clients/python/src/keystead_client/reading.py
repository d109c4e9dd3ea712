"""Reads JSON into frozen dataclasses by their annotations: what does not fit is an unclear answer.

Members that a dataclass does not name are ignored, so that an older client reads a newer answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from keystead_client.errors import UnclearAnswer

T = TypeVar("T")
Reader = Callable[[Any], Any]
_PLAIN: dict[Any, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int,), float: (int, float)}


def read_as(kind: type[T], value: Any) -> T:
    """Return JSON as a dataclass. Raises UnclearAnswer, which names the place and never the value."""
    annotation: Any = kind
    result: T = _reader_of(annotation)(value)
    return result


@cache
def _reader_of(kind: Any) -> Reader:
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if get_origin(kind) is UnionType:
        (inner,) = (each for each in get_args(kind) if each is not NoneType)
        return _optional(_reader_of(inner))
    if get_origin(kind) is tuple:
        return _list_reader(_reader_of(get_args(kind)[0]))
    if kind is datetime:
        return _moment
    return _plain(_PLAIN.get(kind, (dict,)), refuses_bool=kind in (int, float))


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    members = [
        (each.name, _reader_of(hints[each.name]), each.default is not MISSING or each.default_factory is not MISSING)
        for each in fields(kind)
        if each.init
    ]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise UnclearAnswer(f"The answer has no {kind.__name__} where one belongs.")
        values = {}
        for name, reader, has_default in members:
            if name in value:
                try:
                    values[name] = reader(value[name])
                except (TypeError, ValueError):
                    raise UnclearAnswer(f"The answer's {kind.__name__}.{name} is of another type.") from None
            elif not has_default:
                raise UnclearAnswer(f"The answer's {kind.__name__} has no {name}.")
        return kind(**values)

    return read


def _optional(inner: Reader) -> Reader:
    return lambda value: None if value is None else inner(value)


def _list_reader(inner: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple([inner(each) for each in value])

    return read


def _plain(expected: tuple[type, ...], *, refuses_bool: bool) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, expected) or (refuses_bool and isinstance(value, bool)):
            raise TypeError
        return value

    return read


def _moment(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError
    return found


def without_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given: absent is not null."""
    return {name: value for name, value in values.items() if value is not None}
