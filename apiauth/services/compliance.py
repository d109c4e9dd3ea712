"""Which live keys of an app deserve a look, and why: what an auditor asks for, found by the database alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import (
    BooleanField,
    Count,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Greatest
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from apiauth.models import Departure, Key
from apiauth.models.key import KeyQuerySet

UNUSED_AFTER = timedelta(days=90)
NEW_UNTIL = timedelta(days=7)
WIDE_FROM = 2  # permissions in the catalogue: of a single one every key holds all
WIDE_PERCENT = 80  # of the catalogue; all of it, where it has fewer than five
EVERY_ADDRESS = ["0.0.0.0/0", "::/0"]  # each of all of its family: a list that has one bounds nobody of it
AT_ONCE = 1000  # keys of an export that are read at once


class Finding(StrEnum):
    """One reason to look at a key; a key can have several."""

    NO_EXPIRY = "no_expiry"
    ROTATION_OVERDUE = "rotation_overdue"
    UNUSED = "unused"
    NEVER_USED = "never_used"
    WIDE_PERMISSIONS = "wide_permissions"
    ANY_ADDRESS = "any_address"
    OWNER_GONE = "owner_gone"


@dataclass(frozen=True, slots=True)
class Review:
    """How many keys are live, and how many of them each finding is about."""

    keys: int
    counts: dict[Finding, int]


def review(*, keys: KeyQuerySet, now: datetime) -> Review:
    """Return how many of some keys, live ones alone, each finding is about."""
    counts = {finding.value: Count("pk", filter=condition) for finding, condition in _conditions(now).items()}
    found = _live(keys, now).aggregate(all=Count("pk"), **counts)
    return Review(found["all"], {finding: found[finding.value] for finding in Finding})


def found_keys(*, keys: KeyQuerySet, finding: Finding, now: datetime) -> KeyQuerySet:
    """Return the live keys of some that a finding is about, the oldest first, with their app and last use."""
    found: KeyQuerySet = _live(keys, now).filter(_condition(finding, now))
    return found.select_related("app", "usage").order_by("id")


def every_found_key(
    *, keys: KeyQuerySet, finding: Finding | None, now: datetime
) -> Iterator[tuple[Key, list[Finding]]]:
    """Yield the keys that a finding is about, None being any, with all that there is to say of each.

    Reads them a thousand at a time, the oldest first, so that neither memory nor one query grows with their number.
    """
    conditions = _conditions(now)
    marks = {f"is_{name}": ExpressionWrapper(each, output_field=BooleanField()) for name, each in conditions.items()}
    wanted = conditions[finding] if finding else _any_of(conditions)
    rows = _live(keys, now).filter(wanted).annotate(**marks).select_related("app", "usage").order_by("id")
    last = 0
    while found := list(rows.filter(pk__gt=last)[:AT_ONCE]):
        yield from ((key, [name for name in Finding if getattr(key, f"is_{name}")]) for key in found)
        last = found[-1].pk


def findings_of(key: Key, *, now: datetime) -> list[Finding]:
    """Return what there is to say of one live key."""
    mine = _live(Key.objects.in_app(key.app_id), now).filter(pk=key.pk)
    return [finding for finding, condition in _conditions(now).items() if mine.filter(condition).exists()]


def _live(keys: KeyQuerySet, now: datetime) -> KeyQuerySet:
    """Keep the keys that work and that no other has replaced: what runs out by itself needs no look."""
    return keys.newest_of_lineage().active_at(now)


def _rotation_due() -> Greatest:
    """Return when a key must be rotated, as the policy of its own app says; null for never."""
    rotation = KeyTransform("rotation", "app__policy")
    days = Cast(KeyTextTransform("every_days", rotation), IntegerField())
    age = ExpressionWrapper(days * Value(timedelta(days=1)), output_field=DurationField())
    due = ExpressionWrapper(F("created_at") + age, output_field=DateTimeField())
    return Greatest(due, Cast(KeyTextTransform("enforced_from", rotation), DateTimeField()))


def _conditions(now: datetime) -> dict[Finding, Q]:
    return {finding: _condition(finding, now) for finding in Finding}


def _condition(finding: Finding, now: datetime) -> Q:
    match finding:
        case Finding.NO_EXPIRY:
            return Q(expires_at=None)
        case Finding.ROTATION_OVERDUE:
            return Q(LessThanOrEqual(_rotation_due(), now))
        case Finding.UNUSED:
            return Q(usage__last_used_at__lt=now - UNUSED_AFTER)
        case Finding.NEVER_USED:
            return Q(usage=None, created_at__lt=now - NEW_UNTIL)
        case Finding.WIDE_PERMISSIONS:
            return Q(app__permissions__len__gte=WIDE_FROM) & Q(_is_wide())
        case Finding.ANY_ADDRESS:
            return Q(allowed_cidrs=[]) | Q(allowed_cidrs__overlap=EVERY_ADDRESS)
        case Finding.OWNER_GONE:
            return Q(_owner_left())


class _Shared(Func):
    """Counts the elements that two arrays have in common, none of which repeats one."""

    template = "(SELECT count(*) FROM unnest(%(expressions)s))"
    arg_joiner = ") AS held WHERE held = ANY ("
    output_field = IntegerField()


def _is_wide() -> GreaterThanOrEqual:
    """Tell whether a key holds most of its app's permissions; what it holds beside them does not count."""
    held = _Shared(F("permissions"), F("app__permissions"))
    return GreaterThanOrEqual(held * Value(100), F("app__permissions__len") * Value(WIDE_PERCENT))


def _owner_left() -> Exists:
    """Tell whether a key's owner was removed from the app since the first key of its lineage was made.

    A rotation does not bring the owner back; a key of somebody who came back is theirs.
    """
    first = Key.objects.filter(pk=OuterRef(OuterRef("lineage_id"))).values("created_at")
    return Exists(
        Departure.objects.filter(app_id=OuterRef("app_id"), subject_id=OuterRef("user_id"), at__gte=Subquery(first))
    )


def _any_of(conditions: dict[Finding, Q]) -> Q:
    found = Q()
    for condition in conditions.values():
        found |= condition
    return found
