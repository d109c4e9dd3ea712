"""Warns, in `manage.py check --deploy` and in `doctor`, of settings that work and are not safe."""

import stat
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

OPEN_GATEWAY = "keystead.W004"
CLOSE_GATEWAY = "Set KEYSTEAD_GATEWAY_AUTH=token, or list the callers in KEYSTEAD_GATEWAY_ALLOW."


@register(Tags.security, deploy=True)
def check_environment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for every unsafe value that this process was started with."""
    return [warning for check in (_debug, _hosts, _https, _proxies, _gateway, _secrets) for warning in check()]


def _debug() -> list[CheckMessage]:
    if not settings.DEBUG:
        return []
    return [Warning("DEBUG is on.", hint="Turn it off: its pages show settings and code.", id="keystead.W001")]


def _hosts() -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("Any host name is accepted.", hint="Name the hosts in ALLOWED_HOSTS.", id="keystead.W002")]


def _https() -> list[CheckMessage]:
    """Plain http is for one machine: elsewhere its cookies could be read on the way."""
    if settings.ENVIRONMENT.is_https or not _is_reachable(settings.ENVIRONMENT.public_url):
        return []
    return [Warning("The public URL is not https.", hint="Set KEYSTEAD_PUBLIC_URL to https.", id="keystead.W003")]


def _proxies() -> list[CheckMessage]:
    """TLS ends at a proxy, which alone knows who asked: without its word everybody has its own address."""
    if not settings.ENVIRONMENT.is_https or settings.ENVIRONMENT.trusted_proxies:
        return []
    hint = "Set KEYSTEAD_TRUSTED_PROXIES to where your proxy asks from, and let it add X-Forwarded-For."
    return [Warning("All people seem to come from the proxy's address.", hint=hint, id="keystead.W006")]


def _gateway() -> list[CheckMessage]:
    if not gateway_is_open():
        return []
    return [Warning("Anyone can ask the gateway.", hint=CLOSE_GATEWAY, id=OPEN_GATEWAY)]


def gateway_is_open() -> bool:
    """Tell whether strangers reach the gateway: on a public address, without a credential or a list of callers.

    A host name is not looked up here: the gateway itself refuses to start on a public address.
    """
    environment = settings.ENVIRONMENT
    if environment.gateway_auth == "token" or environment.gateway_allow:
        return False
    try:
        return ip_address(urlsplit(environment.gateway_url).hostname or "").is_global
    except ValueError:
        return False


def _secrets() -> list[CheckMessage]:
    """See that secrets kept in the data folder are their owner's alone."""
    folder = Path(settings.ENVIRONMENT.data_dir) / "secrets"
    paths = [folder, *folder.iterdir()] if folder.is_dir() else []
    open_ones = [path.name for path in paths if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if not open_ones:
        return []
    hint = f"Run chmod -R go-rwx {folder}."
    return [Warning(f"Others can read {open_ones[0]}.", hint=hint, id="keystead.W005")]


def _is_reachable(url: str) -> bool:
    return (urlsplit(url).hostname or "") not in ("127.0.0.1", "::1", "localhost")
