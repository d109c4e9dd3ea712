"""The policies that the guide offers are taken as they stand, and the table of settings says which of them set what."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from msgspec.structs import replace

from apiauth.core.policy import Policy, read_policy
from apiauth.core.policy_words import MEANINGS
from apiauth.models import App
from tests.support.snippets import ROOT, Page

NAMES = ("Early", "Business", "Regulated")
AUDIT_ACTIONS = ("export", "see_addresses", "see_user_agents", "see_activity", "see_compliance")


def policies() -> dict[str, Any]:
    page = Page("docs/how-to/choose-a-policy.md")
    found = {name: json.loads(page.take("json")) for name in NAMES}
    page.finish()
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_policy_of_the_guide_is_put_in_force_as_it_stands(backend: Client, app: App, name: str) -> None:
    body = {"policy": policies()[name]}
    assert backend.patch("/api-auth/apps/aa_1", body, content_type="application/json").status_code == 200
    app.refresh_from_db()
    unscheduled = replace(app.policy, rotation=replace(app.policy.rotation, enforced_from=None))
    assert unscheduled == read_policy(body["policy"])


def value(policy: Policy, place: str) -> Any:
    part, _, name = place.partition(".")
    return policy.document()[part][name] if name else policy.document()[part]


def test_the_table_has_every_setting_and_says_which_policy_sets_it() -> None:
    text = (ROOT / "docs/how-to/what-to-lock.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| .+ \| ([^|]+) \|$", text, re.MULTILINE)
    places = [place for place in MEANINGS if "." in place and not place.startswith("authority.")]
    listed = [place for place, _ in rows if not place.startswith("authority")]
    assert listed == places
    assert [place for place, _ in rows if place.startswith("authority")] == [
        "authority",
        *(f"authority.{action}" for action in AUDIT_ACTIONS),
    ]
    read = {name: read_policy(document) for name, document in policies().items()}
    for place, said in rows:
        setting = [name for name, policy in read.items() if value(policy, place) != value(Policy(), place)]
        assert said == (", ".join(setting) or "none"), place
