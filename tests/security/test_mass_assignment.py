"""A field that an operation does not declare has no effect, whatever column of ours it names.

The clients' bound methods send their whole self along, so such fields are ignored, not refused. What
"no effect" means is read off two honest runs: what differs between those is noise (ids, secrets, moments),
and in all else a third run with every column's name in its body must leave the same rows.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction

from tests.support.routes import BACKEND, FORM_FIELDS, SESSION, WITH_BODY, WITH_FORM, Operation, named
from tests.support.rows import every_row
from tests.support.stage import Stage, good, make_ready, send

PLANTED_TEXT, PLANTED_NUMBER, PLANTED_DAY = "planted", 4242424242, "2031-04-05"
ELSEWHERE = ("scopes", "granted_resource", "principal_type", "is_admin", "key_hash", "secret", "app", "options")
Row = dict[str, Any]
Effect = list[tuple[str, Row]]


def planted(declared: set[str]) -> dict[str, Any]:
    """Return a value for each column of ours that is not declared, of the column's own type."""
    found: dict[str, Any] = dict.fromkeys(ELSEWHERE, PLANTED_TEXT)
    for model in apps.get_app_config("apiauth").get_models():
        for column in model._meta.concrete_fields:
            value = _value(column)
            found |= {column.attname: value, column.name: value}
    return {name: value for name, value in found.items() if name not in declared}


def portions(extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Return fields in portions that a form or a query may have: settings allow no more than 100."""
    names = list(extra)
    return [{name: extra[name] for name in names[start : start + 90]} for start in range(0, len(names), 90)]


def _value(column: models.Field) -> Any:
    if isinstance(column, models.BooleanField):
        return False
    if isinstance(column, models.IntegerField | models.ForeignKey):
        return PLANTED_NUMBER
    return f"{PLANTED_DAY}T06:07:08Z" if isinstance(column, models.DateTimeField) else PLANTED_TEXT


def effect_of(send_once: Callable[[], tuple[int, bytes]]) -> Effect:
    """Return the rows that a request makes or changes, and take them back."""
    with transaction.atomic():
        before = every_row()
        status, body = send_once()
        after = every_row()
        transaction.set_rollback(True)
    assert status in (200, 204), body
    return [(table, json.loads(row)) for table, rows in after.items() for row in rows if row not in before[table]]


def without_noise(effect: Effect, noise: set[tuple[str, str]]) -> Effect:
    """Return rows without the columns in which honest runs differ, in an order of their own."""
    kept = [(t, {name: value for name, value in row.items() if (t, name) not in noise}) for t, row in effect]
    return sorted(kept, key=lambda entry: json.dumps(entry, sort_keys=True))


def noise_of(one: Effect, other: Effect) -> set[tuple[str, str]]:
    """Return the columns in which two runs of one request differ."""
    found = set()
    for table in {table for table, _ in one}:
        columns = {name for t, row in one if t == table for name in row}
        for name in columns:
            if _column(one, table, name) != _column(other, table, name):
                found.add((table, name))
    return found


def _column(effect: Effect, table: str, name: str) -> list[str]:
    return sorted(json.dumps(row[name], sort_keys=True) for t, row in effect if t == table)


def assert_ignored(stage: Stage, operation: Operation, extra: Mapping[str, Any]) -> None:
    client, body = stage.own.client(operation), good(operation, stage.own)
    make_ready(operation, stage.own)

    def honest() -> tuple[int, bytes]:
        return send(client, operation, stage.own.place, body)

    def greedy() -> tuple[int, bytes]:
        return send(client, operation, stage.own.place, {**extra, **body})

    first, second, third = effect_of(honest), effect_of(honest), effect_of(greedy)
    noise = noise_of(first, second)
    assert without_noise(third, noise) == without_noise(first, noise)
    written = json.dumps(third)
    assert not [mark for mark in (PLANTED_TEXT, str(PLANTED_NUMBER), PLANTED_DAY) if mark in written]
    assert bool(first) != operation.only_asks


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_a_body_sets_what_it_declares_and_nothing_else(operation: Operation, stage: Stage) -> None:
    assert operation.body
    extra = planted(set(operation.body.model_fields))
    assert {"deployment_id", "digest", "revoked_at"} <= set(extra)
    assert_ignored(stage, operation, extra)
    assert_ignored(stage, operation, {"options": {"apiKey": "x", "nested": [1, {"a": None}]}})


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_a_form_sets_what_the_clients_send_and_nothing_else(operation: Operation, stage: Stage) -> None:
    for extra in portions(planted(set(FORM_FIELDS[operation.name]))):
        assert_ignored(stage, operation, extra)


def test_a_query_asks_what_it_declares_and_nothing_else(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in (operation for operation in BACKEND + SESSION if operation.method == "GET"):
        with subtests.test(operation.name):
            extra = planted(set(operation.query)) | {"sort": "key__digest", "order_by": "-id", "app_slug": "x"}
            client = stage.own.client(operation)
            plain = send(client, operation, stage.own.place)
            assert plain[0] == 200
            for portion in portions(extra):
                query = "?" + "&".join(f"{name}={value}" for name, value in portion.items())
                assert send(client, operation, stage.own.place, query=query) == plain
