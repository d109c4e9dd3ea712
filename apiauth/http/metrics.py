"""What both metrics doors share: the operator's token, and the type of the text."""

import hmac

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def shows_token(authorization: str, token: str | None) -> bool:
    """Tell whether an Authorization header holds the operator's token, where there is one."""
    scheme, _, shown = authorization.partition(" ")
    return token is not None and scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), token.encode())
