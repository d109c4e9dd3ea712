"""What the gateway must withstand: strings presented as keys, and bodies that are no one check."""

import gzip
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from apiauth.core.secrets import mint
from apiauth.http.check_request import METHODS
from tests.support.gateways import question


def _altered(secret: str, place: int) -> str:
    return secret[:place] + ("A" if secret[place] != "A" else "B") + secret[place + 1 :]


PRESENTED: dict[str, Callable[[str], str]] = {
    "empty": lambda s: "",
    "space": lambda s: " ",
    "prefix alone": lambda s: "nw_live",
    "prefix and underscore": lambda s: "nw_live_",
    "wrong prefix": lambda s: "xx" + s,
    "upper-case prefix": lambda s: s[:7].upper() + s[7:],
    "one short": lambda s: s[:-1],
    "one long": lambda s: s + "A",
    "very long": lambda s: s + "A" * 10_000,
    "checksum off by one": lambda s: _altered(s, -1),
    "two swapped": lambda s: s[:-8] + s[-7] + s[-8] + s[-6:] if s[-7] != s[-8] else _altered(s, -8),
    "trailing newline": lambda s: s + "\n",
    "byte order mark": lambda s: "\ufeff" + s,
    "zero-width space": lambda s: s[:10] + "\u200b" + s[10:],
    "cyrillic": lambda s: "nw_l\u0456ve" + s[7:],
    "full-width digit": lambda s: s[:-1] + "\uff11",
    "nul": lambda s: s + "\0",
    "percent-encoded": lambda s: "%6e" + s[1:],
    "bearer": lambda s: f"Bearer {s}",
    "two keys": lambda s: f"{s},{s}",
    "sql": lambda s: "' OR 1=1 --",
    "ticket": lambda s: mint("kst"),
    "backend key": lambda s: mint("ksb"),
    "another key": lambda s: mint("nw_live"),
}


VALUE = "nw_live_" + "0" * 49
GOOD = question(VALUE)


def body_with(**fields: Any) -> bytes:
    """Return the body of a good check, but for some fields."""
    return json.dumps({**GOOD, **fields}).encode()


BODIES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "string": b'""',
    "no fields": b"{}",
    "unknown field": body_with(extra=1),
    "unknown field inside": body_with(principal={"type": "api_key", "value": VALUE, "x": 1}),
    "repeated field": b'{"principal":{"type":"api_key","value":"a","value":"b"},"resource":"/","method":"GET"}',
    "repeated by escape": b'{"principal":{"type":"api_key","value":"a","valu\\u0065":"b"},"resource":"/a"}',
    "repeated null": json.dumps(GOOD).encode()[:-1] + b',"client_ip":null,"client_ip":null}',
    "NaN": body_with(client_ip=float("nan")),
    "Infinity": body_with(client_ip=float("inf")),
    "1e400": b'{"principal":1e400}',
    "huge integer": b'{"principal":' + b"1" * 5000 + b"}",
    "deep": b"[" * 10_000,
    "deep inside": b'{"principal":' + b"[" * 10_000,
    "deep unknown": b'{"x":' + b'{"a":' * 3000,
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "invalid utf-8": json.dumps(GOOD).encode().replace(b"/v1/a", b"/v1/\xff"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "gzip": gzip.compress(json.dumps(GOOD).encode()),
    "trailing": json.dumps(GOOD).encode() + b"{}",
    "nul in resource": body_with(resource="/a\0"),
    "nul in agent": body_with(user_agent="a\0"),
    "surrogate in agent": body_with(user_agent="\ud800"),
    "principal array": body_with(principal=[]),
    "type upper": body_with(principal={"type": "API_KEY", "value": VALUE}),
    "type oauth": body_with(principal={"type": "oauth_access_token", "value": VALUE}),
    "type missing": body_with(principal={"value": VALUE}),
    "method with line break": body_with(method="GET\r\nX: y"),
    "method unknown": body_with(method="BREW"),
    "method dotless": body_with(method="optıons"),
    "method number": body_with(method=1),
    "resource empty": body_with(resource=""),
    "resource up": body_with(resource="/a/../admin"),
    "resource encoded up": body_with(resource="/%2e%2e/admin"),
    "resource encoded slash": body_with(resource="/a%2fb"),
    "resource double slash": body_with(resource="//evil"),
    "resource backslash": body_with(resource="\\\\a"),
    "ip": body_with(client_ip="999.1.1.1"),
    "ip with port": body_with(client_ip="127.0.0.1:80"),
    "ip with zone": body_with(client_ip="fe80::1%eth0"),
    "ip empty": body_with(client_ip=""),
    "ip number": body_with(client_ip=1),
    "method with space": body_with(method=" GET"),
    "nul in method": body_with(method="GET\0"),
    "resource null": body_with(resource=None),
    "resource with half a surrogate pair": body_with(resource="/a\ud800"),
    "resource with line break": body_with(resource="/a\r\nX: y"),
    "resource encoded twice": body_with(resource="/%252e%252e/admin"),
    "resource very long": body_with(resource="/" + "a" * 4096),
    "agent list": body_with(user_agent=["x"]),
    "ip with spaces": body_with(client_ip=" 203.0.113.9"),
    "ip with leading zeros": body_with(client_ip="203.0.113.009"),
    "nul in permission": body_with(required_permissions=["a\0"]),
    "1000 permissions": body_with(required_permissions=["a"] * 1000),
    "permission list": body_with(required_permissions=[["a"]]),
    "permission empty": body_with(required_permissions=[""]),
    "permission star": body_with(required_permissions=["*"]),
    "permission syntax": body_with(required_permissions=["a AND"]),
    "permissions text": body_with(required_permissions="a"),
}  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # NUL and half surrogate pairs among it
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
FIELDS = {
    "principal": st.fixed_dictionaries(
        {"type": st.just("api_key") | TEXT, "value": TEXT | st.builds(mint, st.just("nw_live"))}
    ),
    "resource": st.just("/v1/a") | TEXT,
    "method": st.sampled_from([*METHODS, "get", "Put"]) | TEXT,
    "client_ip": st.ip_addresses().map(str) | st.none() | TEXT,
    "user_agent": TEXT | st.none(),
    "required_permissions": st.lists(st.sampled_from(["a", "a OR b", "(a,b) AND c"]) | TEXT, max_size=3) | st.none(),
}
PAIRS = st.lists(
    st.sampled_from(list(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name] | VALUES))
    | st.tuples(TEXT, VALUES),
    max_size=9,
)


def written(pairs, is_ascii):
    """Return an object of these pairs as bytes, in their order and as often as they stand there."""
    fields = (
        f"{json.dumps(name, ensure_ascii=is_ascii)}:{json.dumps(value, ensure_ascii=is_ascii)}" for name, value in pairs
    )
    return ("{" + ",".join(fields) + "}").encode("utf-8", "surrogatepass")
