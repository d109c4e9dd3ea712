"""The one format of every secret that Keystead mints, and the keyed digests that stand for them.

A secret is `<prefix>_`, 43 random base62 characters (256 bits) and a 6-character checksum:
the CRC-32 (ISO-HDLC, as in zlib) of everything before it, in base62, padded with `0`. Anyone
can tell offline whether a string could be one of ours: see SECRET_PATTERN and docs/reference/key-format.md.
The digest is HMAC-SHA-256 under a pepper that the database never sees, with the kind of
secret mixed in, so that no digest of one kind can stand for another.
"""

import hashlib
import re
import secrets as randomness
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARACTERS = 43
CHECKSUM_CHARACTERS = 6
TAIL_CHARACTERS = RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
SUFFIX_CHARACTERS = 4
LONGEST_SECRET = 32 + 1 + TAIL_CHARACTERS

PREFIX_PATTERN = r"[a-z][a-z0-9_]{0,30}[a-z0-9]"
SECRET_PATTERN = rf"{PREFIX_PATTERN}_[0-9A-Za-z]{{{TAIL_CHARACTERS}}}"
TICKET_PREFIX = "kst"
BACKEND_KEY_PREFIX = "ksb"
SESSION_PREFIX = "kss"
RESERVED_PREFIXES = frozenset({TICKET_PREFIX, BACKEND_KEY_PREFIX, SESSION_PREFIX})

_PREFIX = re.compile(PREFIX_PATTERN)
_PAIRS = {first + second: 62 * high + low for high, first in enumerate(ALPHABET) for low, second in enumerate(ALPHABET)}
_BLOCK_BYTES = 64  # of SHA-256, RFC 2104


class SecretKind(StrEnum):
    """What a secret opens; part of what is digested."""

    KEY = "key"
    BACKEND_KEY = "backend_key"
    TICKET = "ticket"
    SESSION = "session"
    FORM = "form"


def base62(number: int, width: int) -> str:
    """Return a non-negative number in base62, padded on the left with `0` to `width` characters."""
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits)).rjust(width, "0")


def checksum(body: str) -> str:
    """Return the six checksum characters for everything that stands before them."""
    return base62(zlib.crc32(body.encode("ascii")), CHECKSUM_CHARACTERS)


def mint(prefix: str) -> str:
    """Return a new secret with this prefix: 256 random bits and a checksum."""
    body = f"{prefix}_" + "".join(randomness.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + checksum(body)


def is_well_formed(text: str) -> bool:
    """Tell whether a string has the shape of a secret (SECRET_PATTERN); its checksum may still be wrong.

    The pattern as a whole takes longer: its prefix may hold the character that ends it.
    """
    prefix, _, tail = text.rpartition("_")
    return len(tail) == TAIL_CHARACTERS and tail.isascii() and tail.isalnum() and _is_prefix(prefix)


@lru_cache(maxsize=1_024)
def _is_prefix(text: str) -> bool:
    return _PREFIX.fullmatch(text) is not None


def checksum_matches(text: str) -> bool:
    """Tell whether a string, whatever it is, is ASCII and ends in the checksum of what stands before it.

    Reads the six characters as a number instead of writing the number as characters: every
    check of the gateway does this, and a look-up by pairs costs a fifth of six divisions.
    """
    try:
        written = _PAIRS[text[-6:-4]] * 14_776_336 + _PAIRS[text[-4:-2]] * 3_844 + _PAIRS[text[-2:]]
    except KeyError:
        return False
    return text.isascii() and written == zlib.crc32(text[:-CHECKSUM_CHARACTERS].encode("ascii"))


def prefix_of(text: str) -> str:
    """Return the prefix of a well-formed secret, without the underscore that ends it."""
    return text[: -TAIL_CHARACTERS - 1]


def _keyed_digest(key: bytes, purpose: str) -> Callable[[str], bytes]:
    """Return HMAC-SHA-256 (RFC 2104) with the key's two blocks hashed once instead of at every call."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    prepared_inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
    prepared_inner.update(f"keystead:{purpose}:".encode())
    copy_inner = prepared_inner.copy
    copy_outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy

    def digest(text: str) -> bytes:
        inner = copy_inner()
        inner.update(text.encode())
        outer = copy_outer()
        outer.update(inner.digest())
        return outer.digest()

    return digest


class Peppers:
    """The versioned keys under which secrets are digested; never printed, never in the database."""

    def __init__(self, keys: dict[int, bytes], active_version: int) -> None:
        if active_version not in keys:
            raise ValueError("the active pepper is not among the peppers")
        self.active_version = active_version
        self.versions = (active_version, *(version for version in keys if version != active_version))
        self._keys = dict(keys)
        self._digests = {
            (kind, version): _keyed_digest(key, kind.value) for kind in SecretKind for version, key in keys.items()
        }

    def __repr__(self) -> str:
        return f"<Peppers {self.versions}, active {self.active_version}>"

    def digest(self, kind: SecretKind, text: str, version: int | None = None) -> bytes:
        """Return the 32-byte digest that stands for a secret; `version` is the active pepper by default."""
        return self._digests[kind, version or self.active_version](text)

    def digester(self, kind: SecretKind, version: int) -> Callable[[str], bytes]:
        """Return the function that digests secrets of one kind under one pepper, for those that digest many."""
        return self._digests[kind, version]

    def digests(self, kind: SecretKind, text: str) -> list[bytes]:
        """Return a secret's digest under every pepper, the active one first."""
        return [self.digest(kind, text, version) for version in self.versions]

    def fingerprint(self, version: int) -> bytes:
        """Return a digest that shows which pepper this is without giving it away."""
        return _keyed_digest(self._keys[version], "fingerprint")("pepper")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret in the one moment in which its text exists."""

    text: str = field(repr=False)
    prefix: str
    suffix: str
    digest: bytes = field(repr=False)
    pepper_version: int


def new_secret(kind: SecretKind, prefix: str, peppers: Peppers) -> NewSecret:
    """Mint a secret and the digest to store in its place."""
    text = mint(prefix)
    return NewSecret(
        text=text,
        prefix=prefix,
        suffix=text[-SUFFIX_CHARACTERS:],
        digest=peppers.digest(kind, text),
        pepper_version=peppers.active_version,
    )
