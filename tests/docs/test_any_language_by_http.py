"""docs/how-to/any-language-by-http.md, run as it stands, one block after the other."""

import json
from typing import Any

from tests.support.running import until
from tests.support.snippets import Page, run_shell


def objects(printed: str) -> list[Any]:
    """Return the JSON objects that a block printed, one behind the other."""
    decoder, found, rest = json.JSONDecoder(), [], printed.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def test_the_page_works_as_written(variables: dict[str, str]) -> None:
    page = Page("docs/how-to/any-language-by-http.md")

    def run(containing: str, **known: str) -> list[Any]:
        return objects(run_shell(page.take("sh", containing), {**variables, **known}))

    assert run("BACKEND_KEY:?") == []
    assert run("app-for-customer-7")[0]["app_slug"] == "aa_7"
    assert run("rate-limit-schemes")[1]["rate_limit_scheme_slug"] == "free"
    assert run("session/tickets")[0]["url"].startswith(variables["KEYSTEAD_URL"])
    made = run("nightly-export-1")[0]
    check = page.take("sh", 'authz/check"')
    known = {**variables, "PRESENTED_KEY": made["secret"]}
    until(lambda: objects(run_shell(check, known))[0]["allowed"], 5, "the gateway knows the key")
    decisions = run("check-batch", PRESENTED_KEY=made["secret"])[0]["decisions"]
    assert [decision["allowed"] for decision in decisions] == [True, False]
    rotated = run("/rotate", KEY_ID=made["id"])[0]
    assert rotated["id"] != made["id"]
    assert run("/revoke", KEY_ID=rotated["id"]) == [{}]
    assert [key["is_active"] for key in run("include_inactive")[0]["keys"]] == [False, True]
    logs, totals, series = run("audit/logs")
    assert {row["outcome"] for row in logs["data"]} <= {"blocked"}
    assert totals["success_rate"] <= 100
    assert series["interval"] == "hour"
    page.finish()
