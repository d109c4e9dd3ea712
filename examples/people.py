"""Who can sign in to Northwind Maps. Your product has this part already, with passwords."""

import secrets

User = dict[str, str]  # without `key_role`, with no right to API keys
DANA = {"id": "dana", "name": "Dana Okafor", "email": "dana@acme-logistics.example", "key_role": "admin"}
SAM = {"id": "sam", "name": "Sam Reyes", "email": "sam@blue-harbor.example"}
USERS: dict[str, User] = {
    "dana": DANA | {"organization": "Acme Logistics"},
    "sam": SAM | {"organization": "Blue Harbor"},
}
SIGNED_IN: dict[str, User] = {}  # by cookie; sessions end with the process


def sign_in(user: User | None) -> str:
    """Return the cookie that a browser gets: one that opens a session, or one that opens none."""
    cookie = secrets.token_urlsafe(32) if user else "none"
    if user:
        SIGNED_IN[cookie] = user
    return f"product_session={cookie}; Path=/; HttpOnly; SameSite=Lax"
