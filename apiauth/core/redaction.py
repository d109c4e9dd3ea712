"""Takes secrets out of text on its way to a log: the last net, after never putting them there."""

import re
from collections.abc import MutableMapping
from typing import Any

from apiauth.core.secrets import PREFIX_PATTERN, TAIL_CHARACTERS

_SECRET_ANYWHERE = re.compile(rf"({PREFIX_PATTERN}_)[0-9A-Za-z]{{{TAIL_CHARACTERS}}}")


def without_secrets(text: str) -> str:
    """Return the text with every string of a secret's shape cut to its prefix."""
    return _SECRET_ANYWHERE.sub(r"\1[redacted]", text)


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Clean the strings of a structlog event; a processor."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_secrets(value)
    return event
