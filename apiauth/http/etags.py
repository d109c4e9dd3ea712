"""ETags of rows: the moment of their last change, so that `If-Match` can ask for no other one in between."""

import re
from collections.abc import Collection
from datetime import datetime

from django.http import HttpRequest

from apiauth.core.errors import Invalid
from apiauth.http.values import moment
from apiauth.http.wire import moment_json

_TAG = re.compile(r'(?:W/)?"([!#-~]*)"')


def etag(updated_at: datetime) -> str:
    """Return the ETag of a row that was last changed at a moment."""
    return f'"{moment_json(updated_at)}"'


def seen(request: HttpRequest) -> Collection[datetime] | None:
    """Return what `If-Match` names, None where there is none or `*`; a proxy may have made a tag weak."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    return [found for part in header.split(",") for found in _moment(part.strip())]


def _moment(tag: str) -> list[datetime]:
    """Return the moment that a tag of ours names; a tag that is not ours names none."""
    match = _TAG.fullmatch(tag)
    try:
        return [moment(match[1], "If-Match")] if match else []
    except Invalid:
        return []
