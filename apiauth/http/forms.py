"""Reads the form that a page sends and refuses what could not be kept as it was meant."""

from collections.abc import Collection, Sequence

from django.http import HttpRequest

from apiauth.core.errors import Invalid
from apiauth.http.errors import WrongMediaType
from apiauth.http.strict_json import is_plain_utf8, shown

_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_REPLACED = "\ufffd"  # what Django puts in the place of bytes that are not UTF-8


def read_form(request: HttpRequest, *, lists: Collection[str] = ()) -> dict[str, str]:
    """Return the form's texts, none where there is no form; of one of `lists`, the last.

    Raises WrongMediaType for another type or charset and for a compressed body; Invalid that names
    the field for one that stands twice, is a file, or holds NUL or what is not UTF-8.
    """
    _require_form(request)
    for name, values in request.POST.lists():
        _check_field(name, values, may_repeat=name in lists)
    for name in request.FILES:
        raise Invalid("Send this field as a text, not as a file.", field=shown(name))
    return {name: str(value) for name, value in request.POST.items()}


def _require_form(request: HttpRequest) -> None:
    is_form = request.content_type in (_URLENCODED, _MULTIPART) and is_plain_utf8(request)
    is_nothing = not request.content_type and not request.body
    if not (is_form or is_nothing):
        raise WrongMediaType("Send the fields as a form in UTF-8.")
    if request.content_type == _URLENCODED:
        try:
            request.body.decode()
        except UnicodeDecodeError:  # Django would take the bytes for Latin-1
            raise Invalid("The form is not UTF-8.") from None


def _check_field(name: str, values: Sequence[object], *, may_repeat: bool) -> None:
    if len(values) > 1 and not may_repeat:
        raise Invalid("This field stands twice in the form.", field=shown(name))
    for text in (name, *map(str, values)):
        if "\x00" in text or _REPLACED in text:
            raise Invalid("A field of the form holds NUL, or bytes that are not UTF-8.", field=shown(name) or None)
