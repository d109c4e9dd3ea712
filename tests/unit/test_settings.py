"""What an operator sets: read once, refused with a sentence, and understood alike by every process."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from config import env
from config.env import EnvironmentProblem
from config.settings import _database


def read(**variables: str) -> env.Environment:
    return env.read({**os.environ, **variables})


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty: restore it"), (b" \n\t\n", "is empty: restore it"), (b"\xff\xfe\x00k", "it is no text")],
    ids=["nothing", "white space", "no text"],
)
def test_a_file_that_holds_no_secret_is_none(secret_file: Path, content: bytes, sentence: str) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(EnvironmentProblem, match=f"^The secret ACTIVITY_KEY .*{sentence}"):
        read(KEYSTEAD_ACTIVITY_KEY_FILE=str(secret_file))


def test_a_secret_that_there_need_not_be_may_be_an_empty_file(secret_file: Path) -> None:
    secret_file.write_bytes(b"\n")
    assert read(KEYSTEAD_METRICS_TOKEN_FILE=str(secret_file)).metrics_token is None
    assert read().metrics_token is None


def test_a_secret_that_there_need_not_be_is_refused_where_it_is_named_and_no_text(secret_file: Path) -> None:
    secret_file.write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentProblem, match=r"^The secret METRICS_TOKEN cannot be read: it is no text\.$"):
        read(KEYSTEAD_METRICS_TOKEN_FILE=str(secret_file))


def test_a_note_about_the_embedded_database_that_is_no_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "postgres.socket").write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentProblem, match="There is no database yet"):
        env.socket_folder({"KEYSTEAD_DATA_DIR": str(tmp_path)})


ADDRESSES = pytest.mark.parametrize("name", ["KEYSTEAD_PUBLIC_URL", "KEYSTEAD_GATEWAY_URL"])


@ADDRESSES
@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("HTTPS://Keys.Example.COM", "https://keys.example.com"),
        ("https://keys.example.com:443/", "https://keys.example.com"),
        ("https://keys.example.com:8443", "https://keys.example.com:8443"),
        ("https://keys.example.com:80", "https://keys.example.com:80"),
        ("https://keys.example.com:443/Keystead/", "https://keys.example.com/Keystead"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_kept_as_a_browser_names_its_origin(name: str, given: str, understood: str) -> None:
    assert getattr(read(**{name: given}), name.removeprefix("KEYSTEAD_").lower()) == understood


@ADDRESSES
@pytest.mark.parametrize(
    "given",
    [
        "https://dana@keys.example.com",
        "https://dana:pass@keys.example.com",
        "https://keys.example.com?x=1",
        "https://keys.example.com#x",
        "http://[::1",
        "https://keys.example.com:port",
        "https://keys.example.com:70000",
        "https://",
        "ftp://keys.example.com",
    ],
)
def test_an_address_that_is_no_root_is_refused(name: str, given: str) -> None:
    with pytest.raises(EnvironmentProblem, match=f"^{name} must be an http or https address, such as ") as refusal:
        read(**{name: given})
    assert "dana" not in str(refusal.value)


@pytest.mark.parametrize("name", ["KEYSTEAD_GATEWAY_ALLOW", "KEYSTEAD_TRUSTED_PROXIES"])
@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"]),
        ("::ffff:203.0.113.9", ["203.0.113.9/32"]),
        ("::ffff:0:0/96", ["0.0.0.0/0"]),
        ("::ffff:192.0.2.0/120, fd00::/8,192.0.2.0/24", ["192.0.2.0/24", "fd00::/8", "192.0.2.0/24"]),
        ("::/0", ["::/0"]),
    ],
)
def test_a_range_of_ipv4_mapped_addresses_means_that_of_ipv4(name: str, given: str, understood: list[str]) -> None:
    found = getattr(read(**{name: given}), name.removeprefix("KEYSTEAD_").lower())
    assert found == tuple(map(ip_network, understood))


OURS = "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=30000"


def test_what_the_databases_url_asks_for_stands_beside_what_we_ask_for() -> None:
    asked = _database("postgresql://u@db/keys?options=-csearch_path%3Dother&sslmode=require&connect_timeout=3")
    assert asked["OPTIONS"]["options"] == f"-csearch_path=other {OURS}"
    assert (asked["OPTIONS"]["sslmode"], asked["OPTIONS"]["connect_timeout"]) == ("require", "3")
    assert _database("postgresql://u@db/keys")["OPTIONS"]["options"] == OURS


def place(url: str) -> tuple[str, ...]:
    database = _database(url)
    return tuple(database[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME"))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:p@db:5433/keys", ("u", "p", "db", "5433", "keys")),
        ("postgres://u:p@db/keys", ("u", "p", "db", "", "keys")),
        ("postgresql://u:p@[::1]:5433/keys", ("u", "p", "::1", "5433", "keys")),
        ("postgresql://u:p@/keys?host=%2Frun%2Fpg&port=5433", ("u", "p", "/run/pg", "5433", "keys")),
        ("postgresql://u:p@one:5432,two:5433/keys", ("u", "p", "one,two", "5432,5433", "keys")),
        ("host=one,two port=5432 dbname=keys user=u password='p q'", ("u", "p q", "one,two", "5432", "keys")),
        ("postgresql://u:a%2Fb%40c%25@db/keys", ("u", "a/b@c%", "db", "", "keys")),
        ("postgresql://u@db", ("u", "", "db", "", "u")),
    ],
    ids=["url", "short scheme", "ipv6", "socket", "two hosts", "words", "escaped password", "name of its user"],
)
def test_a_database_is_found_wherever_libpq_would_find_it(url: str, found: tuple[str, ...]) -> None:
    assert place(url) == found


def test_of_several_hosts_the_one_is_asked_for_that_takes_changes() -> None:
    asked = _database("postgresql://u@one,two/keys?target_session_attrs=read-write")
    assert asked["OPTIONS"]["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hush/hush@db/keys",
        "postgresql://u:hush/7?hush@db/keys",
        "postgresql://u:hush%hush@db/keys",
        "host=db password=hush hush",
        "hush",
    ],
    ids=["a raw slash", "a slash and a question mark", "a raw per cent sign", "a blank", "no address"],
)
def test_a_database_that_is_not_understood_is_refused_without_a_word_of_its_password(url: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"^DATABASE_URL is not understood: .* %2F for a slash") as refusal:
        _database(url)
    assert "hush" not in str(refusal.value)
    assert (refusal.value.__cause__, refusal.value.__context__) == (None, None)
