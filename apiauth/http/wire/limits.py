"""Rate-limit rules and schemes on the wire."""

from collections.abc import Iterable
from typing import NotRequired

from typing_extensions import TypedDict

from apiauth.core.key_limits import load_key_rules
from apiauth.core.limits import LimitRule, Mode, Unit, load_rules
from apiauth.http.wire.moments import MomentText, moment_json
from apiauth.http.wire.propagation import PropagatedJson
from apiauth.models import App, Key, RateLimitScheme


class LimitRuleJson(TypedDict):
    """One rule of a rate-limit scheme or of a key; without `endpoints` it holds for all paths."""

    id: str
    unit: Unit
    duration: int
    max_requests: int
    mode: Mode
    endpoints: NotRequired[list[str]]
    priority: int


class SchemeJson(TypedDict):
    """One rate-limit scheme."""

    id: str
    deployment_id: str
    slug: str
    name: str
    description: str | None
    rules: list[LimitRuleJson]
    created_at: MomentText
    updated_at: MomentText


class NewSchemeJson(SchemeJson):
    """A rate-limit scheme that was just made, by this call or by the one that it repeats."""

    replayed: NotRequired[bool]


class ChangedSchemeJson(SchemeJson, PropagatedJson):
    """A rate-limit scheme as it is now, and whether that is in force."""


class SchemeListJson(TypedDict):
    """The deployment's rate-limit schemes by slug."""

    schemes: list[SchemeJson]
    total: int


def scheme_json(scheme: RateLimitScheme) -> SchemeJson:
    """Return one rate-limit scheme."""
    return {
        "id": str(scheme.id),
        "deployment_id": str(scheme.deployment_id),
        "slug": scheme.slug,
        "name": scheme.name,
        "description": scheme.description,
        "rules": _rules_json(load_rules(scheme.rules)),
        "created_at": moment_json(scheme.created_at),
        "updated_at": moment_json(scheme.updated_at),
    }


def limits_of(app: App) -> list[LimitRuleJson]:
    """Return the rules of an app's scheme; none without one."""
    return _rules_json(load_rules(app.rate_limit_scheme.rules)) if app.rate_limit_scheme else []


def own_limits_of(key: Key) -> list[LimitRuleJson]:
    """Return a key's own rules; most have none."""
    return _rules_json(load_key_rules(key.limits))


def _rules_json(rules: Iterable[LimitRule]) -> list[LimitRuleJson]:
    return [_rule_json(rule) for rule in rules]


def _rule_json(rule: LimitRule) -> LimitRuleJson:
    shape: LimitRuleJson = {
        "id": rule.id,
        "unit": rule.unit,
        "duration": rule.duration,
        "max_requests": rule.max_requests,
        "mode": rule.mode,
        "priority": rule.priority,
    }
    if rule.endpoints is not None:
        shape["endpoints"] = list(rule.endpoints)
    return shape
