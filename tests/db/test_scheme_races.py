"""A scheme that is deleted while an app takes it: one of the two is refused."""

import threading
from datetime import datetime
from typing import Any

import pytest
from django.db import connections

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid
from apiauth.models import App, RateLimitScheme
from apiauth.services import apps, limits

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_scheme_that_an_app_is_just_taking_is_not_deleted(
    app: App, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: dict[str, Any] = {"deployment_id": app.deployment_id, "actor": actor, "now": now}
    rule = {"unit": "minute", "duration": 1, "max_requests": 60}
    limits.create_scheme(slug="s", name="S", rules=[rule], **by)
    looked, refused = threading.Event(), []
    check_owner = apps._check_owner

    def held(fields: Any) -> None:
        looked.set()
        deleting.join(0.5)  # longer where it has to wait for us
        check_owner(fields)

    def delete() -> None:
        assert looked.wait(10)
        try:
            limits.delete_scheme(slug="s", **by)
        except Invalid as refusal:
            refused.append(refusal.field)
        finally:
            connections.close_all()

    monkeypatch.setattr(apps, "_check_owner", held)
    deleting = threading.Thread(target=delete)
    deleting.start()
    apps.update_app(slug=app.slug, changes={"rate_limit_scheme_slug": "s"}, **by)
    deleting.join(10)
    assert refused == ["slug"]
    assert RateLimitScheme.objects.get().deleted_at is None
