"""The limits of one key: rules as a scheme has them, that hold beside those of its app and so only make it tighter.

A rule counts the calls of this one key, all of them or by address. The key that follows by
rotation keeps the rules and starts counts of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from apiauth.core.errors import Invalid
from apiauth.core.limit_words import words
from apiauth.core.limits import LimitRule, Mode, in_order, load_rules, parse_rule, refuse_shared_ids, with_known_ids

MOST_KEY_RULES = 5
KEY_MODES: Final = (Mode.PER_KEY, Mode.PER_KEY_AND_IP)
# Which rules of an app count every call that such a rule of a key counts, and maybe more.
_COUNTS_NO_LESS: Final = {
    Mode.PER_KEY: frozenset({Mode.PER_APP, Mode.PER_KEY}),
    Mode.PER_KEY_AND_IP: frozenset(Mode),
}


def parse_key_rules(
    value: object, *, app_rules: Sequence[LimitRule], known: Sequence[LimitRule] = ()
) -> tuple[LimitRule, ...]:
    """Return a key's rules as a caller sent them, in the order of evaluation; there may be none.

    Without a `mode` a rule counts per key. A `known` one that comes again goes on with its count, also without
    its id (`with_known_ids`); unchanged, it is not looked at anew. Raises Invalid with the field, such as
    `limits[0].duration`; also for a rule that could never deny a call, because the app would before.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) > MOST_KEY_RULES:
        raise Invalid(f"`limits` must be a list of at most {MOST_KEY_RULES} rules.", field="limits")
    rules = [parse_rule(entry, f"limits[{index}]", mode=Mode.PER_KEY) for index, entry in enumerate(value)]
    rules = with_known_ids(rules, value, known)
    unchanged = {replace(rule, shares_text=False) for rule in known}
    for index, rule in enumerate(rules):
        if rule not in unchanged:
            _check(rule, app_rules, f"limits[{index}]")
    refuse_shared_ids(rules, "limits")
    return in_order(rules)


def load_key_rules(stored: Sequence[Mapping[str, Any]], app_rules: Sequence[LimitRule] = ()) -> tuple[LimitRule, ...]:
    """Return a key's rules as they stand in the database, in the order of evaluation.

    One that reads like a rule of the app is named with its id, as two such rules of a scheme are.
    """
    texts = {rule.text for rule in app_rules}
    return tuple(replace(rule, shares_text=True) if rule.text in texts else rule for rule in load_rules(stored))


def _check(rule: LimitRule, app_rules: Sequence[LimitRule], field: str) -> None:
    if rule.mode not in KEY_MODES:
        raise Invalid(f"A key's own limit counts {' or '.join(KEY_MODES)}.", field=f"{field}.mode")
    lower = next((each for each in app_rules if _denies_first(each, rule)), None)
    if lower is not None:
        raise Invalid(
            f"The app itself allows no more than {words(lower)}. This limit would never be reached: "
            f"choose {lower.max_requests:,} or less.",
            field=f"{field}.max_requests",
        )


def _denies_first(app_rule: LimitRule, rule: LimitRule) -> bool:
    return (
        app_rule.max_requests < rule.max_requests
        and app_rule.mode in _COUNTS_NO_LESS[rule.mode]
        and app_rule.grid == rule.grid
        and _covers_all_of(app_rule, rule)
    )


def _covers_all_of(app_rule: LimitRule, rule: LimitRule) -> bool:
    if app_rule.endpoints is None or "*" in app_rule.endpoints:
        return True
    return rule.endpoints is not None and set(rule.endpoints) <= set(app_rule.endpoints)
