"""Reads the environment once, into one frozen value, and fails loudly.

Names end in their unit. A secret is looked for in `KEYSTEAD_<NAME>`, in the file that
`KEYSTEAD_<NAME>_FILE` names, and in `<data folder>/secrets/<name>`; a missing one stops the
start with a sentence that says what to do. Knows no Django: the gateway and the worker read it too.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote, urlsplit

from apiauth.core.secrets import Peppers
from config import addresses, email
from config.email import EmailServer

REPOSITORY = Path(__file__).resolve().parent.parent
POSTGRES_USER = "keystead"
POSTGRES_DATABASE = "keystead"
Choice = TypeVar("Choice", bound=str)


class EnvironmentProblem(Exception):
    """A setting is missing or cannot be used; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that a process learns from outside. Secrets are left out of its repr."""

    data_dir: Path
    database_url: str = field(repr=False)
    direct_database_url: str = field(repr=False)
    public_url: str
    gateway_url: str
    django_key: str = field(repr=False)
    peppers: Peppers
    activity_key: bytes = field(repr=False)
    static_dir: Path
    spool_dir: Path
    limits_dir: Path
    limits: Literal["host", "shared"]
    limit_slots: int
    ticket_seconds: int
    ticket_most_seconds: int
    session_idle_seconds: int
    session_most_seconds: int
    calls_per_minute: int
    stale_bound_seconds: int
    snapshot_keys: int
    spool_sync: Literal["50ms", "always"]
    spool_reserve_bytes: int
    gateway_auth: Literal["network", "token"]
    gateway_allow: tuple[IPv4Network | IPv6Network, ...]
    gateway_affinity: Literal["none", "processor"]
    web_niceness: int
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    keep_decisions_days: int
    stop_seconds: int
    metrics_token: str | None = field(repr=False)
    email: EmailServer | None = None

    @property
    def is_https(self) -> bool:
        """Tell whether people reach this installation by https."""
        return urlsplit(self.public_url).scheme == "https"


def data_dir(variables: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder: `KEYSTEAD_DATA_DIR`, or `.keystead` beside the script."""
    return Path(variables.get("KEYSTEAD_DATA_DIR") or REPOSITORY / ".keystead").absolute()


@cache
def load() -> Environment:
    """Return this process's environment. Raises EnvironmentProblem."""
    return read(os.environ)


def read(variables: Mapping[str, str]) -> Environment:
    """Return the environment that these variables describe. Raises EnvironmentProblem."""
    folder = data_dir(variables)
    database = database_url(variables)
    known = {**addresses.noted(folder), **variables}
    return Environment(
        data_dir=folder,
        database_url=database,
        direct_database_url=variables.get("KEYSTEAD_DIRECT_DATABASE_URL") or database,
        public_url=_url(known, "KEYSTEAD_PUBLIC_URL", "http://127.0.0.1:8000"),
        gateway_url=_url(known, "KEYSTEAD_GATEWAY_URL", "http://127.0.0.1:8001"),
        django_key=secret("DJANGO_KEY", variables),
        peppers=parse_peppers(secret("PEPPERS", variables)),
        activity_key=secret("ACTIVITY_KEY", variables).encode(),
        static_dir=folder / "static",
        spool_dir=Path(variables.get("KEYSTEAD_SPOOL_DIR") or folder / "spool"),
        limits_dir=Path(variables.get("KEYSTEAD_LIMITS_DIR") or folder / "limits"),
        limits=_choice(variables, "KEYSTEAD_LIMITS", ("host", "shared")),
        limit_slots=_whole(variables, "KEYSTEAD_LIMIT_SLOTS", 1_048_576, 1024, 100_000_000),
        ticket_seconds=_whole(variables, "KEYSTEAD_TICKET_SECONDS", 60, 1, 300),
        ticket_most_seconds=300,
        session_idle_seconds=_whole(variables, "KEYSTEAD_SESSION_IDLE_SECONDS", 1800, 60, 86_400),
        session_most_seconds=_whole(variables, "KEYSTEAD_SESSION_MOST_SECONDS", 28_800, 60, 86_400),
        calls_per_minute=_whole(variables, "KEYSTEAD_CALLS_PER_MINUTE", 3_000, 1, 1_000_000),
        stale_bound_seconds=_whole(variables, "KEYSTEAD_STALE_BOUND_SECONDS", 15, 0, 600),
        snapshot_keys=_whole(variables, "KEYSTEAD_SNAPSHOT_KEYS", 1_000_000, 100, 100_000_000),
        spool_sync=_choice(variables, "KEYSTEAD_SPOOL_SYNC", ("50ms", "always")),
        spool_reserve_bytes=_whole(variables, "KEYSTEAD_SPOOL_RESERVE_MIB", 64, 0, 4096) * 2**20,
        gateway_auth=_choice(variables, "KEYSTEAD_GATEWAY_AUTH", ("network", "token")),
        gateway_allow=_networks(variables, "KEYSTEAD_GATEWAY_ALLOW"),
        gateway_affinity=_choice(variables, "KEYSTEAD_GATEWAY_AFFINITY", ("none", "processor")),
        web_niceness=_whole(variables, "KEYSTEAD_WEB_NICENESS", 0, 0, 19),
        trusted_proxies=_networks(variables, "KEYSTEAD_TRUSTED_PROXIES"),
        keep_decisions_days=_whole(variables, "KEYSTEAD_KEEP_DECISIONS_DAYS", 0, 0, 3650),
        stop_seconds=stop_seconds(variables),
        metrics_token=optional_secret("METRICS_TOKEN", variables),
        email=email_server(variables),
    )


def email_server(variables: Mapping[str, str]) -> EmailServer | None:
    """Return where mail goes out, None where `KEYSTEAD_EMAIL_URL` is not set. Raises EnvironmentProblem."""
    url = variables.get("KEYSTEAD_EMAIL_URL")
    if not url:
        return None
    try:
        return email.read(url, variables.get("KEYSTEAD_EMAIL_FROM", ""), optional_secret("EMAIL_PASSWORD", variables))
    except ValueError as problem:
        raise EnvironmentProblem(str(problem)) from None


def stop_seconds(variables: Mapping[str, str] = os.environ) -> int:
    """Return for how long a server lets its callers go before it ends. Raises EnvironmentProblem."""
    return _whole(variables, "KEYSTEAD_STOP_SECONDS", 10, 0, 600)


def secret(name: str, variables: Mapping[str, str] = os.environ) -> str:
    """Return one secret, stripped of surrounding white space. Raises EnvironmentProblem where it is missing."""
    text = _secret(name, variables)
    if not text:
        raise EnvironmentProblem(f"The secret {name} is empty: restore it from a backup, or give it one.")
    return text


def _secret(name: str, variables: Mapping[str, str]) -> str:
    given = variables.get(f"KEYSTEAD_{name}", "").strip()
    if given:
        return given
    named = variables.get(f"KEYSTEAD_{name}_FILE")
    path = Path(named) if named else data_dir(variables) / "secrets" / name.lower()
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"The secret {name} is missing: run ./keystead up once to make it, "
            f"or set KEYSTEAD_{name} or KEYSTEAD_{name}_FILE."
        ) from None
    except OSError as error:
        raise EnvironmentProblem(f"The secret {name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise EnvironmentProblem(f"The secret {name} cannot be read: it is no text.") from None


def optional_secret(name: str, variables: Mapping[str, str] = os.environ) -> str | None:
    """Return a secret that there need not be. Raises EnvironmentProblem where one is named and cannot be read."""
    is_named = variables.get(f"KEYSTEAD_{name}") or variables.get(f"KEYSTEAD_{name}_FILE")
    if not is_named and not (data_dir(variables) / "secrets" / name.lower()).exists():
        return None
    return _secret(name, variables) or None


def parse_peppers(text: str) -> Peppers:
    """Return the peppers in `version:base64url` lines (commas serve too), the active one first."""
    keys: dict[int, bytes] = {}
    for line in text.replace(",", "\n").split():
        version, _, encoded = line.partition(":")
        try:
            keys[int(version.removeprefix("v"))] = base64.urlsafe_b64decode(encoded)
        except (ValueError, binascii.Error):
            raise EnvironmentProblem("KEYSTEAD_PEPPERS must hold lines of version:base64url, newest first.") from None
    if not keys or any(len(key) < 32 for key in keys.values()):
        raise EnvironmentProblem("Every pepper of KEYSTEAD_PEPPERS needs at least 32 bytes, in base64url.")
    return Peppers(keys, active_version=next(iter(keys)))


def database_url(variables: Mapping[str, str] = os.environ) -> str:
    """Return `DATABASE_URL`, or the address of the embedded server of a running `./keystead up`."""
    if given := variables.get("DATABASE_URL"):
        return given
    return embedded_database_url(socket_folder(variables), secret("POSTGRES_PASSWORD", variables))


def embedded_database_url(socket: Path, password: str) -> str:
    """Return the URL of an embedded server that listens in a socket folder."""
    return f"postgresql://{POSTGRES_USER}:{quote(password)}@/{POSTGRES_DATABASE}?host={quote(str(socket), safe='')}"


def socket_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the embedded server's socket, as `up` noted it in the data folder."""
    if given := variables.get("KEYSTEAD_POSTGRES_SOCKET"):
        return Path(given)
    note = data_dir(variables) / "postgres.socket"
    try:
        return Path(note.read_text().strip())
    except (OSError, UnicodeDecodeError):
        raise EnvironmentProblem("There is no database yet: start ./keystead up, or set DATABASE_URL.") from None


def _url(variables: Mapping[str, str], name: str, default: str) -> str:
    text = variables.get(name) or default
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise EnvironmentProblem(f"{name} must be an http or https address, such as {default}.")
    if (
        name == "KEYSTEAD_PUBLIC_URL"
        and parts.scheme == "http"
        and parts.hostname not in ("127.0.0.1", "::1", "localhost")
    ):
        raise EnvironmentProblem("KEYSTEAD_PUBLIC_URL must be https: plain http is for this machine alone.")
    # As a browser names it in Origin: in lower case, and without the port that goes without saying.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_usual = port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{host}{'' if is_usual else f':{port}'}{parts.path}".rstrip("/")


def _whole(variables: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = variables.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise EnvironmentProblem(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def _choice(variables: Mapping[str, str], name: str, choices: tuple[Choice, ...]) -> Choice:
    text = variables.get(name) or choices[0]
    chosen = next((choice for choice in choices if choice == text), None)
    if chosen is None:
        raise EnvironmentProblem(f"{name} must be one of: {', '.join(choices)}.")
    return chosen


def _network(text: str) -> IPv4Network | IPv6Network:
    """Return a range; one of IPv4-mapped addresses as the IPv4 range that it means, since callers count as IPv4."""
    found = ip_network(text)
    if isinstance(found, IPv6Network) and found.prefixlen >= 96 and (mapped := found.network_address.ipv4_mapped):
        return ip_network((mapped, found.prefixlen - 96))
    return found


def _networks(variables: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(_network(part.strip()) for part in variables.get(name, "").split(",") if part.strip())
    except ValueError as error:
        raise EnvironmentProblem(f"{name} must list address ranges such as 10.0.0.0/8: {error}.") from None
