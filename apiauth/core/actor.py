"""Who does something, and by which door: what the activity log says of every action."""

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["subject", "backend_key", "staff", "system", "command"]
Door = Literal["portal", "api", "session_api", "admin", "command", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts. Name, email, address and user agent are personal: the log can forget them."""

    kind: ActorKind
    id: str
    name: str
    via: Door
    email: str = ""
    client_ip: str | None = None
    user_agent: str = ""
    session_id: int | None = None

    def personal(self) -> dict[str, str]:
        """Return the personal fields that are known, by name."""
        known = {
            "name": self.name,
            "email": self.email,
            "client_ip": self.client_ip,
            "user_agent": self.user_agent,
        }
        return {name: value for name, value in known.items() if value}


SYSTEM = Actor(kind="system", id="system", name="Keystead", via="system")
