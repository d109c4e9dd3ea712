"""One-time tokens of forms: a reload or a double click never makes two keys."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError

from apiauth.core.errors import AlreadySubmitted, Invalid
from apiauth.models import FormToken, Key
from apiauth.models.fields import insert, violated_constraint


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """The one-time token of the form behind a request, and the session that it was shown to."""

    session_id: int
    token: str


def _digest(form: SubmittedForm) -> bytes:
    if not 16 <= len(form.token) <= 200:
        raise Invalid("This form is incomplete. Reload the page and try again.", field="form_token")
    return hashlib.sha256(form.token.encode()).digest()


def refuse_repeat(form: SubmittedForm | None) -> None:
    """Say that a form was sent before, rather than what its first sending has changed since."""
    if form and FormToken.objects.filter(session_id=form.session_id, digest=_digest(form)).exists():
        raise AlreadySubmitted


def take(form: SubmittedForm | None, key: Key, now: datetime) -> None:
    """Spend the form's token; the unique constraint lets one of two submissions through."""
    if form is None:
        return
    digest = _digest(form)
    try:
        insert(lambda: FormToken(session_id=form.session_id, digest=digest, key=key, created_at=now))
    except IntegrityError as error:
        if violated_constraint(error) == "form_token_used_once":
            raise AlreadySubmitted from None
        raise
