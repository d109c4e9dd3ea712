"""Why a check was decided as it was: the rule in plain words, what to do, and the checks in their order."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from apiauth.audit.search import DecisionRow
from apiauth.core import limit_words
from apiauth.core.decision import Rule
from apiauth.core.key_limits import load_key_rules
from apiauth.core.limits import MONTHS
from apiauth.models import App, Key
from portal import times

LABELS = {
    Rule.KEY_MALFORMED: "Not a key",
    Rule.KEY_BAD_CHECKSUM: "Mistyped key",
    Rule.KEY_UNKNOWN: "Unknown key",
    Rule.APP_DISABLED: "App paused",
    Rule.KEY_REVOKED: "Key revoked",
    Rule.KEY_DISABLED: "Key disabled",
    Rule.KEY_ROTATED_OUT: "Old secret",
    Rule.KEY_EXPIRED: "Key expired",
    Rule.ROTATION_OVERDUE: "Rotation overdue",
    Rule.IP_NOT_ALLOWED: "Address not allowed",
    Rule.RESOURCE_NOT_ALLOWED: "Outside its resources",
    Rule.PERMISSION_DENIED: "Missing permission",
    Rule.RATE_LIMITED: "Too many requests",
}
_UNKNOWN_KEY = frozenset({Rule.KEY_MALFORMED, Rule.KEY_BAD_CHECKSUM, Rule.KEY_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Case:
    """A decision with what is known today of its key and its app."""

    row: DecisionRow
    key: Key | None
    app: App
    newest: Key | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What happened and what to do, in a sentence each."""

    happened: str
    to_do: str


@dataclass(frozen=True, slots=True)
class Step:
    """One check: `ok` passed, `bad` is where it stopped, an empty state was not reached."""

    label: str
    state: str
    detail: str


def rule_of(text: str | None) -> Rule | None:
    """Return the rule of a name; None for none and for a name of a later version."""
    return Rule(text) if text in set(Rule) else None


def label(rule: str | None) -> str:
    """Return a rule's name for people."""
    known = rule_of(rule)
    return LABELS[known] if known else rule or "Allowed"


def title(row: DecisionRow) -> str:
    """Return the heading of a decision's page."""
    if row.allowed:
        return "Allowed"
    words = label(row.rule)
    return f"Blocked: {words[:1].lower()}{words[1:]}"


def words(case: Case) -> Words:
    """Return what happened and what to do about it."""
    if case.row.allowed:
        return Words("The key was known and active, and every check passed.", "Nothing: this call was answered.")
    rule = rule_of(case.row.rule)
    explain = _WORDS.get(rule) if rule else None
    return explain(case) if explain else Words(f"The rule {case.row.rule} blocked this call.", "Ask an owner.")


def steps(case: Case) -> list[Step]:
    """Return every check in the order of evaluation, and where it stopped."""
    rule = rule_of(case.row.rule)
    stop = next((index for index, (_, rules) in enumerate(_STEPS) if rule in rules), len(_STEPS))
    states = ["ok" if index < stop else "bad" if index == stop else "" for index in range(len(_STEPS))]
    return [
        Step(name, state, _step_detail(case, rules, state)) for (name, rules), state in zip(_STEPS, states, strict=True)
    ]


_STEPS: tuple[tuple[str, frozenset[Rule]], ...] = (
    ("Key is known", _UNKNOWN_KEY),
    ("App is active", frozenset({Rule.APP_DISABLED})),
    ("Key is not revoked", frozenset({Rule.KEY_REVOKED})),
    ("Key is not disabled", frozenset({Rule.KEY_DISABLED})),
    ("Secret is not rotated out", frozenset({Rule.KEY_ROTATED_OUT})),
    ("Key has not expired", frozenset({Rule.KEY_EXPIRED})),
    ("Rotation is not overdue", frozenset({Rule.ROTATION_OVERDUE})),
    ("Address is allowed", frozenset({Rule.IP_NOT_ALLOWED})),
    ("Path is within its resources", frozenset({Rule.RESOURCE_NOT_ALLOWED})),
    ("Permission", frozenset({Rule.PERMISSION_DENIED})),
    ("Rate limit", frozenset({Rule.RATE_LIMITED})),
)


def _step_detail(case: Case, rules: frozenset[Rule], state: str) -> str:
    if state == "":
        return "Not reached"
    if rules is _UNKNOWN_KEY:
        return case.row.key_name or ""
    if Rule.PERMISSION_DENIED in rules:
        return _permissions_detail(case.row)
    if Rule.RATE_LIMITED in rules and state == "bad":
        return case.row.blocked_by or ""
    return ""


def _permissions_detail(row: DecisionRow) -> str:
    if not row.required_permissions:
        return "Nothing needed"
    needs = f"Needs {_listed(row.required_permissions)}"
    return needs if row.held_permissions is None else f"{needs}, has {_listed(row.held_permissions)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _unknown(case: Case) -> Words:
    start = case.row.presented_start
    begins = f" (starts {start})" if start else ""
    verdict = {
        Rule.KEY_MALFORMED: "What was sent doesn't have the shape of a key.",
        Rule.KEY_BAD_CHECKSUM: "The checksum is wrong, so the secret was changed or cut off.",
        Rule.KEY_UNKNOWN: "The checksum is right, so the key belongs elsewhere or never existed here.",
    }[Rule(case.row.rule or "")]
    return Words(
        f"No key matches the secret that was sent{begins}. {verdict}", "Copy the secret again from your secret manager."
    )


def _paused(case: Case) -> Words:
    return Words(f"All keys of {case.app.name} were paused.", f"Contact {case.app.name}.")


def _revoked(case: Case) -> Words:
    to_do = f"Find what still runs at {_address(case.row)} and give it another key."
    if case.key is None or case.key.revoked_at is None:
        return Words("The key is revoked.", to_do)
    reason = f": {case.key.revoked_reason}" if case.key.revoked_reason else ""
    who = case.key.revoked_by or "Somebody"
    return Words(f"{who} revoked this key on {times.in_full(case.key.revoked_at)}{reason}.", to_do)


def _disabled(case: Case) -> Words:
    return Words("The key was disabled.", "Ask an owner to enable it, or use another key.")


def _rotated_out(case: Case) -> Words:
    end = case.key.overlap_ends_at if case.key else None
    stopped = f" It stopped working on {times.in_full(end)}." if end else ""
    new = f" (…{case.newest.key_suffix})" if case.newest else ""
    return Words(
        f"The call used the old secret of {case.row.key_name or 'this key'}.{stopped}",
        f"Deploy the new secret{new} to {_address(case.row)}.",
    )


def _expired(case: Case) -> Words:
    if case.key is None or case.key.expires_at is None:
        return Words("The key had ended.", "Create a new key.")
    before = times.span(case.row.decided_at - case.key.expires_at)
    return Words(
        f"The key ended on {times.in_full(case.key.expires_at)}, {before} before this call.",
        "Create a new key and deploy it. Next time, rotate the key before it ends.",
    )


def _overdue(case: Case) -> Words:
    due = case.key.rotation_due_at(case.key.app.policy.rotation) if case.key else None
    by = f" by {times.in_full(due)}" if due else ""
    return Words(f"This key had to be rotated{by} and was not.", "Rotate it now: the new secret works at once.")


def _address_refused(case: Case) -> Words:
    return Words(
        f"{_address(case.row)} isn't in this key's allowed addresses.",
        "Call from an allowed address, let the key be used from this one, or use another.",
    )


def _resource_refused(case: Case) -> Words:
    return Words(
        f"The call was for {case.row.path}, which is outside of what this key opens.{_opens_today(case)}",
        "Let the key open this resource too, or make the call with one that does.",
    )


def _opens_today(case: Case) -> str:
    """Return what a bound key opens, as the gateway has it: what its app no longer names does not count."""
    if case.key is None or not case.key.resources:
        return ""
    opened = [path for path in case.key.resources if path in case.app.resources]
    return f" Today it opens {_listed(opened) if opened else 'nothing: the app names none of its resources any more'}."


def _denied(case: Case) -> Words:
    held = case.row.held_permissions
    has = f" The key has {_listed(held)}." if held is not None else ""
    return Words(
        f"The call needed {_listed(case.row.required_permissions)}.{has}",
        "Give the key the permission, or make the call with one that has it.",
    )


def _limited(case: Case) -> Words:
    text = case.row.blocked_by or ""
    limit, _, window = text.partition("/")
    number = f"{int(limit):,}" if limit.isascii() and limit.isdecimal() else limit
    rules = [*case.app.limits, *(load_key_rules(case.key.limits) if case.key else ())]
    months = {limit_words.unit_name(rule.unit) for rule in rules if rule.text == text and rule.unit in MONTHS}
    per = months.pop() if months else window_words(window)
    made = f"Its limit is {number} calls per {per}." if window else "It had made too many calls."
    again = _again_at(case.row)
    wait = f"Wait until {again}, or spread calls out." if again else "Wait a moment, or spread calls out."
    return Words(f"This key had used up a limit. {made}", f"{wait} Your client should obey Retry-After.")


def window_words(window: str) -> str:
    """Return a limit's window as people say it: `60s` is a minute."""
    digits, unit = window.rstrip("ms"), window.lstrip("0123456789")
    if not digits.isascii() or not digits.isdecimal():
        return window
    seconds = int(digits)
    if unit == "ms":
        return f"{seconds} ms"
    for size, name in ((2_592_000, "30 days"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds == size:
            return name
    return f"{seconds} seconds"


def _again_at(row: DecisionRow) -> str:
    if row.retry_after is None:
        return ""
    moment = datetime.fromtimestamp(row.decided_at.timestamp() + row.retry_after, UTC)
    is_near = moment - row.decided_at < times.DAY
    return times.seconds(moment) if is_near else times.in_full(moment)


def _address(row: DecisionRow) -> str:
    return row.client_ip or row.peer_ip or "an unknown address"


_WORDS: dict[Rule, Callable[[Case], Words]] = {
    Rule.KEY_MALFORMED: _unknown,
    Rule.KEY_BAD_CHECKSUM: _unknown,
    Rule.KEY_UNKNOWN: _unknown,
    Rule.APP_DISABLED: _paused,
    Rule.KEY_REVOKED: _revoked,
    Rule.KEY_DISABLED: _disabled,
    Rule.KEY_ROTATED_OUT: _rotated_out,
    Rule.KEY_EXPIRED: _expired,
    Rule.ROTATION_OVERDUE: _overdue,
    Rule.IP_NOT_ALLOWED: _address_refused,
    Rule.RESOURCE_NOT_ALLOWED: _resource_refused,
    Rule.PERMISSION_DENIED: _denied,
    Rule.RATE_LIMITED: _limited,
}
