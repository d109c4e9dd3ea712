"""Whatever stands in an address or a form of the admin, the answer is a page, and what was typed is not lost."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from apiauth.models import App
from apiauth.services.keys import IssuedKey

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["event", "actor"])
@pytest.mark.parametrize("value", ["%00", "odd", "%F0%9F", "x" * 5000])
def test_a_filter_of_the_activity_log_that_means_nothing_leaves_nothing_out(
    administrator: Client, app: App, name: str, value: str
) -> None:
    answer: Any = administrator.get(f"/admin/apiauth/activityentry/?{name}={value}")
    assert answer.status_code == 200
    assert "app.created" in answer.content.decode()


@pytest.mark.parametrize("field", ["permission_details", "permission_presets"])
@pytest.mark.parametrize(
    "typed",
    [
        r'{"\ud800": {}}',
        r'{"a": "\u0000"}',
        r'{"a": {}',
        r'["\udfff"]',
        pytest.param("1" * 5_000, id="a number of thousands of digits"),
        pytest.param("[" * 20_000, id="nested thousands of times"),
    ],
)
def test_a_document_that_cannot_be_taken_is_shown_again_as_it_was_typed(
    administrator: Client, app: App, field: str, typed: str
) -> None:
    address = f"/admin/apiauth/app/{app.pk}/change/"
    form = administrator.get(address).context["adminform"].form
    sent = {name: form[name].value() for name in form.fields} | {field: typed}
    answer: Any = administrator.post(address, {name: value for name, value in sent.items() if value is not None})
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert escape(typed) in answer.content.decode()


@pytest.mark.parametrize("page", ["key", "app", "deployment"])
def test_a_row_that_is_named_by_a_field_without_a_name_is_a_400(
    administrator: Client, make_key: Callable[..., IssuedKey], page: str
) -> None:
    key = make_key().key
    row = {"key": key.pk, "app": key.app_id, "deployment": key.deployment_id}[page]
    answer: Any = administrator.get(f"/admin/apiauth/{page}/{row}/change/?_to_field=")
    assert answer.status_code == 400
