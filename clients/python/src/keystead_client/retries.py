"""When a call is sent again, and after how long: only where a second send can do no harm."""

import json
import random

from keystead_client.wire import Answer, Conversation, NoAnswer, Pause, Request, received

LONGEST_PAUSE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_BUSY = (502, 503, 504)


def exchange(request: Request, *, retries: int, may_repeat: bool) -> Conversation[Answer]:
    """Send a request, at most `retries` times more, and return its answer. Raises Unavailable."""
    answer = yield request
    for attempt in range(retries):
        pause = _pause_before_retry(answer, attempt, may_repeat=may_repeat)
        if pause is None:
            break
        yield Pause(pause)
        answer = yield request
    return received(answer)


def _pause_before_retry(answer: Answer | NoAnswer | None, attempt: int, *, may_repeat: bool) -> float | None:
    """Return how many seconds to wait before the next attempt, None to stop. `attempt` counts from 0.

    A call of which nothing was sent can always be sent again. Any other is, only if it `may_repeat`:
    after a lost answer, after 502, 503 and 504, after a 429 that says how long to wait, and while the
    first send of an Idempotency-Key is still being carried out. A time-out is not tried again: the
    caller has waited long enough.
    """
    if isinstance(answer, NoAnswer):
        return _backoff(attempt) if answer.nothing_was_sent or (may_repeat and not answer.timed_out) else None
    if answer is None or not may_repeat or not _is_passing(answer):
        return None
    wanted = answer.retry_after or 0
    return max(float(wanted), _backoff(attempt)) if wanted <= LONGEST_PAUSE_SECONDS else None


def _is_passing(answer: Answer) -> bool:
    if answer.status == 409:
        return _is_in_flight(answer)
    return answer.status in _BUSY or (answer.status == 429 and answer.retry_after is not None)


def _is_in_flight(answer: Answer) -> bool:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("code") == "in_flight"


def _backoff(attempt: int) -> float:
    """Return a pause that doubles, between a half and the whole of it so that callers do not march in step."""
    longest = min(_FIRST_PAUSE_SECONDS * 2.0**attempt, LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing
