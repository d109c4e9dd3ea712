"""Decisions as lines for COPY in text format, and the counts that a batch of them adds up to."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from apiauth.audit.record import Record
from apiauth.core import limit_states
from apiauth.core.short_texts import cached_if_short

LONGEST_PATH = 500  # in characters; an index entry of PostgreSQL holds 2,704 bytes
_FEW = 8

_UNSAFE = {0: "\ufffd", ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_UNSAFE |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_NULL = "\\N"


def decision_line(record: Record, number_of: Mapping[str, int]) -> str:
    """Return one record as a line for its table, with the numbers of its names.

    All texts are looked at together: printable ones without a backslash, which is nearly all,
    stand in the line as they are. That is most of what makes this quick.
    """
    (_, deployment_id, app_id, key_id, name, start, limits, rule, blocked_by, method, path, client_ip, peer_ip, agent,
     required, held, left, retry_after, age_ms, duration_us, node) = msgspec.structs.astuple(record)  # fmt: skip
    if len(path) > LONGEST_PATH:
        path = path[:LONGEST_PATH]
    states: str | None = limit_states.text_of(zip(limits, left, strict=False))
    if not is_plain(f"{start}{rule}{blocked_by}{method}{path}{client_ip}{peer_ip}{agent}{states}"):
        start, rule, blocked_by, method, path, client_ip, peer_ip, agent, states = map(
            _safe, (start, rule, blocked_by, method, path, client_ip, peer_ip, agent, states)
        )
    return (
        f"{record.id.hex()}\t{_moment(record.moment_ms)}\t{app_id or 0}\t"
        f"{_NULL if app_id or deployment_id is None else deployment_id}\t{_NULL if key_id is None else key_id}\t"
        f"{_NULL if name is None else number_of[name]}\t{_NULL if start is None else start}\t"
        f"{'t' if rule is None else 'f'}\t{_NULL if rule is None else rule}\t"
        f"{_NULL if blocked_by is None else blocked_by}\t{method}\t{path}\t"
        f"{_NULL if client_ip is None else client_ip}\t{_NULL if peer_ip is None else peer_ip}\t{agent}\t"
        f"{_texts(tuple(required))}\t{_NULL if held is None else _texts(tuple(held))}\t{states}\t"
        f"{_NULL if retry_after is None else retry_after}\t{age_ms}\t{duration_us}\t{number_of[node]}\n"
    )


def names_in(records: Iterable[Record]) -> set[str]:
    """Return the names that the records' lines need the numbers of."""
    names = set()
    for record in records:
        names.add(record.node)
        if record.key_name is not None:
            names.add(record.key_name)
    return names


def count_lines(records: Iterable[Record]) -> Iterable[str]:
    """Yield a line for each group of records that every rollup counts alike, with the newest of its records."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        alike = (
            record.moment_ms // 60_000, record.app_id, record.key_id, record.rule, record.blocked_by,
            record.method, record.path, record.deployment_id,
        )  # fmt: skip
        group = groups.get(alike)
        if group is None:
            groups[alike] = [record]
        else:
            group.append(record)
    for group in groups.values():
        yield _count_line(group)


def _count_line(group: list[Record]) -> str:
    newest = max(group, key=_id)
    cells = (
        _moment(newest.moment_ms // 60_000 * 60_000),
        _number(newest.deployment_id),
        _number(newest.app_id),
        _number(newest.key_id),
        _text(newest.rule),
        _text(newest.blocked_by),
        _text(newest.method),
        _text(newest.path[:LONGEST_PATH]),
        str(len(group)),
        _moment(newest.moment_ms),
        _text(newest.client_ip),
    )
    return "\t".join(cells) + "\n"


def _id(record: Record) -> bytes:
    return record.id


def is_plain(text: str) -> bool:
    """Tell whether a text stands in a line of COPY for itself."""
    return text.isprintable() and "\\" not in text


def _safe(value: str | None) -> str | None:
    """Return a text as COPY reads it: what no PostgreSQL text can hold becomes U+FFFD."""
    return None if value is None else value.translate(_UNSAFE)


def _text(value: str | None) -> str:
    if value is None:
        return _NULL
    return value if is_plain(value) else value.translate(_UNSAFE)


def _number(value: int | None) -> str:
    return _NULL if value is None else str(value)


def _moment(moment_ms: int) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03}+00"


# Batches name the same few seconds and lists of permissions again and again.
@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _texts(values: tuple[str, ...]) -> str:
    return _few_texts(values) if len(values) <= _FEW else _listed(values)


@lru_cache(maxsize=1024)
def _few_texts(values: tuple[str, ...]) -> str:
    return _listed(values)


def _listed(values: tuple[str, ...]) -> str:
    return "[" + ",".join(map(_json, values)) + "]"


@cached_if_short(1_024)
def _json(value: str) -> str:
    return _text(msgspec.json.encode(value.translate(_UNSAFE_IN_JSON)).decode())


_UNSAFE_IN_JSON = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")
