"""Answers that are kept for a day, so that a creating call can be sent again."""

import django.db.models.deletion
from django.db import migrations, models

import apiauth.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("apiauth", "0003_decisions"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="IdempotentAnswer",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        default=apiauth.core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("digest", models.BinaryField(max_length=32)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("answer", models.JSONField()),
                ("created_at", models.DateTimeField(db_index=True)),
                (
                    "backend_key",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="apiauth.backendkey",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="apiauth.session"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("backend_key", "digest"), name="idempotent_answer_once_a_call"),
                    models.UniqueConstraint(fields=("session", "digest"), name="idempotent_answer_once_a_session_call"),
                    models.CheckConstraint(
                        condition=models.Q(("backend_key", None), ("session", None), _connector="XOR"),
                        name="idempotent_answer_has_one_caller",
                    ),
                ],
            },
        ),
    ]
