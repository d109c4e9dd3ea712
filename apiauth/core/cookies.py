"""The session cookie as values, for the pages and the JSON doors alike."""

from typing import Final, Literal, TypedDict

SECURE_NAME: Final = "__Host-ks_session"
PLAIN_NAME: Final = "ks_session"


class CookieAttributes(TypedDict):
    """What `set_cookie` takes beside a name and a value."""

    secure: bool
    httponly: bool
    samesite: Literal["Lax"]
    path: str


def session_cookie_name(*, is_https: bool) -> str:
    """Return the cookie's name: over https the browser itself refuses it from any other host or path.

    Plain http is for this machine alone, where a browser would not store the `__Host-` name.
    """
    return SECURE_NAME if is_https else PLAIN_NAME


def session_cookie_attributes(*, is_https: bool) -> CookieAttributes:
    """Return the cookie's attributes. It has no end of its own: the session's row decides."""
    return {"secure": is_https, "httponly": True, "samesite": "Lax", "path": "/"}
