"""What a creating call was answered, kept for a day so that sending it again changes nothing."""

from django.db import models
from django.db.models import Q

from apiauth.models.deployment import BackendKey
from apiauth.models.fields import Row
from apiauth.models.session import Session


class IdempotentAnswer(Row):
    """The answer to one call of one backend key or one session; it never holds a secret.

    `digest` stands for the route and the caller's Idempotency-Key, `fingerprint` for the body.
    """

    backend_key = models.ForeignKey(BackendKey, on_delete=models.PROTECT, null=True, related_name="+")
    session = models.ForeignKey(Session, on_delete=models.PROTECT, null=True, related_name="+")
    digest = models.BinaryField(max_length=32)
    fingerprint = models.BinaryField(max_length=32)
    answer = models.JSONField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backend_key", "digest"], name="idempotent_answer_once_a_call"),
            models.UniqueConstraint(fields=["session", "digest"], name="idempotent_answer_once_a_session_call"),
            models.CheckConstraint(
                condition=Q(backend_key=None) ^ Q(session=None), name="idempotent_answer_has_one_caller"
            ),
        ]

    def __str__(self) -> str:
        return f"answer {self.pk}"
