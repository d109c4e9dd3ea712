"""What a field refuses although its type is right: the same wherever a body has the field.

The fields come from the URL map; one that is not in the table asks for its row.
"""

from typing import Any

import pytest

from apiauth.core.metadata import RESERVED
from tests.support.problems import fields_of, problem_of
from tests.support.routes import WITH_BODY, Field, Operation, named
from tests.support.rows import every_row, undone
from tests.support.stage import Stage, good, make_ready, send

Cases = dict[str, Any]
SHOWN_TEXT: Cases = {
    "a line break": "a\nb",
    "a control character": "a\x07b",
    "a text turned around": "a\u202eb",
    "an isolate": "a\u2066b",
    "a line separator": "a\u2028b",
}
NAME: Cases = {
    **SHOWN_TEXT,
    "nothing": "",
    "spaces": "   ",
    "nothing visible": "\u200b\u2060",
    "101 characters": "n" * 101,
    "10000 characters": "n" * 10_000,
}
SLUG: Cases = {
    "nothing": "",
    "upper case": "AA_7",
    "a dotted capital": "\u0130a",
    "a line break at its end": "aa_7\n",
    "a space": "a a",
    "65 characters": "a" * 65,
    "a way up": "../aa",
    "other digits": "aa_٣",
    "a letter that looks alike": "аa",
}
ID: Cases = {
    "201 characters": "x" * 201,
    "10 KiB": "x" * 10_240,
    "a line break": "a\nb",
    "the place itself": ".",
    "the place above": " .. ",
}
PERMISSIONS: Cases = {
    "a space": ["read x"],
    "AND": ["AND"],
    "an expression": ["a AND (b OR c)"],
    "all": ["*"],
    "a comma": ["a,b"],
    "upper case": ["Read:x"],
    "nothing": [""],
    "300 characters": ["p" * 300],
    "a line break at its end": ["read:x\n"],
    "other letters": ["läs:x"],
    "1001 of them": [f"p{number}" for number in range(1001)],
}
LINK: Cases = {
    "a script": "javascript:alert(1)",
    "data": "data:text/html,x",
    "another scheme": "ftp://app.example/",
    "no scheme": "//evil.example",
    "a backslash": "/\\evil.example",
    "half an address": "http://[",
    "a port that is none": "http://127.0.0.1:99999/",
    "no host": "http://",
    "a line break": "http://127.0.0.1:9000/\nx",
    "3000 characters": "http://127.0.0.1:9000/" + "x" * 3000,
}
METADATA: Cases = {
    **{f"the reserved name {name}": {name: "x"} for name in sorted(RESERVED)},
    "a reserved name within": {"a": {"__proto__": {}}},
    "a line break in a text": {"a": "b\r\nX-Y: c"},
    "a line break in a name": {"a\nb": "c"},
    "a name of nothing": {"": "x"},
    "a name of 101 characters": {"n" * 101: "x"},
    "5 levels": {"a": {"b": {"c": {"d": {"e": 1}}}}},
    "9 KiB": {"a": "x" * 9216},
    "a number beyond 53 bits": {"a": 2**53},
}
MOMENT: Cases = {
    "nothing": "",
    "the past": "2020-01-01T00:00:00Z",
    "the year 9999": "9999-12-31T23:59:59Z",
    "the year 99999": "99999-01-01T00:00:00Z",
    "31 February": "2031-02-31T00:00:00Z",
    "hour 25": "2031-02-03T25:00:00Z",
    "no zone": "2031-04-05T06:07:08",
    "a day alone": "2031-04-05",
    "a zone of nowhere": "2031-04-05T06:07:08+99:00",
    "words": "tomorrow",
    "seconds": "1924992000",
    "other digits": "٢٠٣١-04-05T06:07:08Z",
}
DATE: Cases = {
    "seconds": "1700000000",
    "words": "tomorrow",
    "the year 9999": "9999-12-31",
    "31 February": "2026-02-31",
    "hour 25": "2026-02-02T25:00:00Z",
}
OVERLAP: Cases = {"below zero": -1, "more than 30 days": 2_592_001, "ages": 2**62}
ROLE: Cases = {"unknown": "root", "upper case": "OWNER", "nothing": "", "with a space": "owner "}
CIDRS: Cases = {
    "too long a prefix": ["10.0.0.0/99"],
    "a host name": ["localhost"],
    "no address": ["999.1.1.1"],
    "nothing": [""],
    "a port": ["127.0.0.1:80"],
    "host bits": ["10.1.2.3/8"],
    "a netmask": ["10.0.0.1/0.0.0.0"],
    "51 of them": [f"10.0.{number}.0/24" for number in range(51)],
}
PREFIX: Cases = {
    "nothing": "",
    "a dash": "orb-live",
    "a space": "orb live",
    "a dot": "orb.live",
    "one character": "o",
    "33 characters": "o" * 33,
    "40 characters": "o" * 40,
    "_ at its end": "orb_",
    "_ at its start": "_orb",
    "a digit first": "1orb",
    "upper case": "Orb",
    "a line break at its end": "orb\n",
    "that of tickets": "kst",
    "that of backend keys": "ksb",
    "that of sessions": "kss",
}


BAD: dict[str, Cases] = {
    "after_request_id": {"a number": "81", "no id of a request": "req_81", "words": "' OR 1=1 --"},
    "after_sequence": {"0": 0, "below zero": -1},
    "action": {"nothing": "", "upper case": "REVOKE", "another": "rotate"},
    "allowed_cidrs": CIDRS,
    "api_auth_app_slug": {"nothing": ""},  # another is a 404, as every name that nothing has
    "app_slug": SLUG,
    "client_ip": {"no address": "999.1.1.1", "a port": "127.0.0.1:80", "a range": "10.0.0.0/8", "a host": "localhost"},
    "code_challenge": {"too short": "x", "44 characters": "a" * 44, "another alphabet": "+" * 43},
    "default_overlap_seconds": OVERLAP,
    "default_role": ROLE,
    "description": {**SHOWN_TEXT, "2001 characters": "d" * 2001},
    "end_date": DATE,
    "expires_at": MOMENT,
    "expires_in": {"0": 0, "below zero": -1, "301 seconds": 301, "ages": 10**12, "all bits": 2**63 - 1},
    "form": {"nothing": "", "upper case": "CSV", "another": "xlsx"},
    "is_active": {},
    "key_cap": {"0": 0, "below zero": -1, "ages": 100_001},
    "key_id": {"words": "abc", "below zero": "-1", "20 digits": "9" * 20, "other digits": "٣"},
    "key_prefix": PREFIX,
    "limit": {"0": 0, "below zero": -1, "100001": 100_001, "ages": 2**62},
    "limits": {},  # `test_key_limits.py` tries them, place by place
    "locale": {
        "a sentence": "not a tag",
        "a way up": "../../etc",
        "36 characters": "en-" + "a" * 33,
        "upwards": "en_US",
    },
    "longest_expiry_days": {"0": 0, "below zero": -1, "more than a hundred years": 36_501},
    "metadata": METADATA,
    "method": {"another": "BREW", "two": "GET,POST", "a line break": "GET\r\nX: y"},
    "name": NAME,
    "note": {**SHOWN_TEXT, "501 characters": "n" * 501},
    "organization_id": ID,
    "outcome": {"nothing": "", "upper case": "BLOCKED", "another": "denied"},
    "overlap_ends_at": MOMENT,
    "overlap_seconds": OVERLAP,
    "path_prefix": {"no slash": "v1", "501 characters": "a" * 501},
    "permissions": PERMISSIONS,
    "permission_details": {
        "a text": {"routes:read": "Look up"},
        "another field": {"routes:read": {"colour": "red"}},
        "a name with spaces": {"routes read": {}},
        "201 characters": {"routes:read": {"description": "d" * 201}},
        "a group of 61 characters": {"routes:read": {"group": "g" * 61}},
        "a line break": {"routes:read": {"description": "a\nb"}},
        "a number": {"routes:read": {"description": 7}},
        "201 of them": {f"p{number}": {} for number in range(201)},
    },
    "permission_presets": {
        "a text": {"Read only": "routes:read"},
        "no name": {" ": ["routes:read"]},
        "61 characters": {"p" * 61: []},
        "a permission with spaces": {"Read only": ["routes read"]},
        "11 of them": {f"p{number}": [] for number in range(11)},
    },
    "policy": {  # `test_policy.py` tries more, place by place
        "an unknown part": {"colour": {}},
        "an unknown field": {"scope": {"colour": "red"}},
        "an unknown preset": {"authority": "everybody"},
        "an unknown role": {"authority": {"create": "root"}},
        "an end without the mode": {"expiry": {"longest_days": 30}},
        "0 days": {"rotation": {"mode": "required", "every_days": 0}},
        "ages": {"expiry": {"mode": "mandatory", "longest_days": 2**62}},
        "eleven minutes": {"revocation": {"undo_minutes": 11}},
        "a day": {"audit": {"keep_days": 1}},
    },
    "policy_applies_at": MOMENT,
    "rate_limit_scheme_slug": {},  # a 404, as every name that nothing has
    "reason": {**SHOWN_TEXT, "501 characters": "n" * 501},
    "resources": {
        "nothing": [""],
        "201 characters": ["r" * 201],
        "201 of them": [f"r{n}" for n in range(201)],
        "a query alone": ["?a=b"],
        "a query": ["/a?b=c"],
        "a fragment": ["/a#b"],
        "a path that climbs": ["/a/../b"],
        "a path that climbs in disguise": ["/a/%2e%2e/b"],
        "an encoded slash": ["/a%2Fb"],
        "a double slash": ["https://maps.example/a"],
        "a control character": ["/a\nb"],
        "a number": [7],
    },
    "return_url": LINK,
    "role": ROLE,
    "rule": {"another": "odd", "upper case": "KEY_REVOKED"},
    "rules": {},  # `test_limits.py` tries them, place by place
    "slug": SLUG,
    "start_date": DATE,
    "subject": {},
    "subject.email": {**SHOWN_TEXT, "255 characters": "e" * 255},
    "subject.id": ID,
    "subject.name": {**SHOWN_TEXT, "201 characters": "n" * 201},
    "test_url": LINK,
    "docs_url": LINK,
    "theme": {"unknown": "neon", "upper case": "DARK"},
    "ticket_type": {
        "nothing": "",
        "upper case": "API_AUTH_ACCESS",
        "another": "impersonation",
        "agents": "agent_access",
    },
    "user_id": ID,
    "workspace_id": ID,
}
# What is understood and lies beyond a bound that depends on the deployment: a 422 is an answer too.
BEYOND_A_BOUND = ("expires_in", "return_url")


def cases(field: Field) -> Cases:
    assert field.path in BAD, f"say in BAD of {__name__} which values of {field.path} are refused"
    return BAD[field.path]


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_4xx_that_names_the_field_that_cannot_have_this_value(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    make_ready(operation, stage.own)
    client, rows = stage.own.backend(), every_row()
    for field in operation.fields:
        for name, value in cases(field).items():
            with subtests.test(f"{field.path}: {name}"), undone():
                sent = field.within(good(operation, stage.own), value)
                answer = send(client, operation, stage.own.place, sent)
                (refused,) = fields_of(problem_of(answer, operation))
                assert refused.startswith(field.path)
                assert answer[0] == 400 or (answer[0] == 422 and field.path in BEYOND_A_BOUND)
                assert every_row() == rows
