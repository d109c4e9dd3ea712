"""The product's own page for API keys: what it is made of, and what a browser may load for it.

The page holds no ticket. Its script asks the product for one, behind the same gate as the button
that leads to the portal, and exchanges it at Keystead by itself.
"""

import base64
import hashlib
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADDRESS = "/settings/api-keys"
TICKETS = f"{ADDRESS}/tickets"
_KINDS = {".js": "text/javascript", ".css": "text/css"}
_FOLDERS = {
    "/assets": HERE / "static",
    "/assets/keystead": HERE.parent / "clients" / "js" / "src",
    "/assets/react": HERE.parent / "static" / "vendor" / "react",
}
FILES = {
    f"{prefix}/{path.name}": path
    for prefix, folder in _FOLDERS.items()
    for path in folder.iterdir()
    if path.suffix in _KINDS
}


def asset(address: str) -> tuple[str, str]:
    """Return the text and the media type of one of FILES."""
    path = FILES[address]
    return path.read_text(), _KINDS[path.suffix]


def policy(keystead_url: str) -> dict[str, str]:
    """Return the header that lets the page run its own scripts (its import map by digest) and call Keystead."""
    found = re.search(
        r'<script type="importmap">(.*?)</script>', (HERE / "templates" / "api_keys.html").read_text(), re.S
    )
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() if found else ""
    rules = (
        "default-src 'none'",
        f"script-src 'self' 'sha256-{digest}'",
        "style-src 'self'",
        f"connect-src 'self' {keystead_url}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {"Content-Security-Policy": "; ".join(rules)}
