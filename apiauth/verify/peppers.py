"""Proves that a process holds the peppers of its database, before it calls anybody's key unknown."""

import hmac
from typing import Any

import psycopg

from apiauth.core.secrets import Peppers
from apiauth.verify.reading import sql


class WrongPepper(Exception):
    """The peppers are not those that the keys were made under: restore KEYSTEAD_PEPPERS from a backup."""


def require_peppers(connection: psycopg.Connection[Any], peppers: Peppers) -> None:
    """Return if every live key's digest can be made with these peppers; raise WrongPepper if not."""
    for version, fingerprint, is_needed in connection.execute(sql("peppers")):
        if version in peppers.versions:
            if not hmac.compare_digest(fingerprint, peppers.fingerprint(version)):
                raise WrongPepper(f"pepper {version} is another one than the keys were made under")
        elif is_needed:
            raise WrongPepper(f"pepper {version} is missing, and live keys need it")
