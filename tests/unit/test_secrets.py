"""The format of secrets, and what their digests promise."""

import hmac
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core import secrets
from apiauth.core.redaction import without_secrets
from apiauth.core.secrets import (
    Peppers,
    SecretKind,
    base62,
    checksum_matches,
    is_well_formed,
    mint,
    new_secret,
    prefix_of,
)

PEPPERS = Peppers({2: b"2" * 32, 1: b"1" * 32}, active_version=2)
prefixes = st.from_regex(rf"\A{secrets.PREFIX_PATTERN}\Z")


@given(prefix=prefixes)
def test_a_minted_secret_proves_itself_offline(prefix: str) -> None:
    secret = mint(prefix)
    assert is_well_formed(secret)
    assert checksum_matches(secret)
    assert prefix_of(secret) == prefix
    assert len(secret) == len(prefix) + 1 + 49


@given(prefix=prefixes, place=st.integers(0, 48), character=st.sampled_from(secrets.ALPHABET))
def test_one_changed_character_is_noticed(prefix: str, place: int, character: str) -> None:
    secret = mint(prefix)
    at = len(secret) - 1 - place
    changed = secret[:at] + character + secret[at + 1 :]
    assert checksum_matches(changed) == (changed == secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nw_live",
        "nw_live_",
        "_" + "a" * 49,
        "NW_" + "a" * 49,
        "nw_" + "a" * 48,
        "n_" + "a" * 49,
        "nw_live_" + "a" * 49 + "\n",
        "\ufeffnw_live_" + "a" * 49,
        "nw_live_" + "a" * 48 + "\u200b",
        "nw_live_" + "а" * 49,
        "nw_live_" + "１" * 49,
        "nw_live_" + "a" * 24 + "\0" + "a" * 24,
        "nw__" + "a" * 49 + " ",
    ],
)
def test_what_is_not_of_the_shape_is_malformed(text: str) -> None:
    assert not is_well_formed(text)


def test_ten_thousand_secrets_share_nothing_and_do_not_sort_by_age() -> None:
    minted = [mint("kst") for _ in range(10_000)]
    assert len(set(minted)) == len(minted)
    assert sorted(minted) != minted


def test_digests_differ_by_kind_and_pepper_and_cannot_be_made_without_it() -> None:
    text = mint("nw")
    digests = {PEPPERS.digest(kind, text, version) for kind in SecretKind for version in (1, 2)}
    assert len(digests) == 2 * len(SecretKind)
    assert PEPPERS.digest(SecretKind.KEY, text) == hmac.digest(b"2" * 32, b"keystead:key:" + text.encode(), "sha256")


def test_a_new_secret_cannot_be_printed() -> None:
    secret = new_secret(SecretKind.KEY, "nw", PEPPERS)
    assert secret.text not in repr(secret)
    assert repr(PEPPERS) == "<Peppers (2, 1), active 2>"


def test_redaction_cuts_every_secret_to_its_prefix() -> None:
    secret = mint("nw_live")
    cleaned = without_secrets(f"a {secret} b Bearer {mint('ksb')}.")
    assert secret[8:] not in cleaned
    assert re.fullmatch(r"a nw_live_\[redacted\] b Bearer ksb_\[redacted\]\.", cleaned)


@pytest.mark.parametrize("text", ["", "k", "sk_é" + "0" * 49, "sk_\ud800" + "0" * 49, "€" * 6, "-" * 60])
def test_a_string_that_is_no_secret_carries_no_checksum(text):
    assert not checksum_matches(text)


@pytest.mark.parametrize("body", ["sk_é", "é" * 40, "🔑"])
def test_a_checksum_over_other_than_ascii_characters_does_not_match(body):
    assert not checksum_matches(body + base62(zlib.crc32(body.encode()), 6))
