"""The session cookie, for the pages and the JSON doors alike: one of our own site, and one for pages of another.

The second kind is for deployments that embed Keystead: a browser keeps it apart for each site
that embeds (Partitioned: the CHIPS draft), and sends it there though the site is not ours.
"""

from collections.abc import Callable, Mapping
from http.cookies import Morsel, SimpleCookie
from typing import Final, Literal, Protocol, TypedDict

SECURE_NAME: Final = "__Host-ks_session"
PLAIN_NAME: Final = "ks_session"
EMBED_NAME: Final = "__Host-ks_embed"

if "partitioned" not in Morsel._reserved:  # type: ignore[attr-defined]  # Python knows the attribute from 3.14 on
    Morsel._reserved["partitioned"] = "Partitioned"  # type: ignore[attr-defined]  # as above
    Morsel._flags.add("partitioned")  # type: ignore[attr-defined]  # as above


class CookieAttributes(TypedDict):
    """What `set_cookie` takes beside a name and a value."""

    secure: bool
    httponly: bool
    samesite: Literal["Lax", "None"]
    path: str


class Answer(Protocol):
    """The part of a response that sets cookies."""

    cookies: SimpleCookie

    @property
    def set_cookie(self) -> Callable[..., None]: ...


def session_cookie_name(*, is_https: bool) -> str:
    """Return the cookie's name: over https the browser itself refuses it from any other host or path.

    Plain http is for this machine alone, where a browser would not store the `__Host-` name.
    """
    return SECURE_NAME if is_https else PLAIN_NAME


def give_session(answer: Answer, token: str, *, is_https: bool, is_embedded: bool = False) -> None:
    """Hand a session's token to the browser. The cookie has no end of its own: the session's row decides."""
    _set(answer, EMBED_NAME if is_embedded else session_cookie_name(is_https=is_https), token, is_https=is_https)


def take_session(answer: Answer, presented: Mapping[str, str], *, is_https: bool) -> None:
    """Make the browser forget its token; a cookie goes only with the attributes it came with."""
    for name in (session_cookie_name(is_https=is_https), EMBED_NAME):
        if name in presented:
            _set(answer, name, "", is_https=is_https, max_age=0)


def _set(answer: Answer, name: str, value: str, *, is_https: bool, max_age: int | None = None) -> None:
    is_embedded = name == EMBED_NAME
    attributes: CookieAttributes = {
        "secure": is_https or is_embedded,
        "httponly": True,
        "samesite": "None" if is_embedded else "Lax",
        "path": "/",
    }
    answer.set_cookie(name, value, max_age=max_age, **attributes)
    if is_embedded:
        answer.cookies[name]["partitioned"] = True
