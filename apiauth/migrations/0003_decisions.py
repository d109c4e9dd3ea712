"""Decisions, their counts, and what the drain and the gateways note; see sql/decisions.sql."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).parent / "sql"


class Migration(migrations.Migration):
    dependencies = [
        ("apiauth", "0002_guards"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "decisions.sql").read_text(), (SQL / "decisions_reverse.sql").read_text()),
        migrations.CreateModel(
            name="RecordedName",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField(unique=True)),
            ],
            options={
                "db_table": "apiauth_recordedname",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id", "decided_at", "id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.UUIDField()),
                ("decided_at", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("deployment_id", models.BigIntegerField(null=True)),
                ("key_id", models.BigIntegerField(null=True)),
                (
                    "key_name",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="apiauth.recordedname",
                    ),
                ),
                ("retry_after", models.IntegerField(null=True)),
                ("snapshot_age_ms", models.IntegerField()),
                ("duration_us", models.IntegerField()),
                (
                    "node",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="apiauth.recordedname",
                    ),
                ),
                ("allowed", models.BooleanField()),
                ("rule", models.TextField(null=True)),
                ("blocked_by", models.TextField(null=True)),
                ("client_ip", models.GenericIPAddressField(null=True)),
                ("peer_ip", models.GenericIPAddressField(null=True)),
                ("method", models.TextField()),
                ("path", models.TextField()),
                ("presented_start", models.TextField(null=True)),
                ("user_agent", models.TextField()),
                ("required_permissions", models.JSONField()),
                ("held_permissions", models.JSONField(null=True)),
                ("rate_limits", models.TextField()),
            ],
            options={
                "db_table": "apiauth_decision",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="DecisionRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id",
                        "hour",
                        "key_id",
                        "rule",
                        "blocked_by",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("deployment_id", models.BigIntegerField()),
                ("app_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("rule", models.TextField()),
                ("blocked_by", models.TextField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_decisionrollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="AppRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id",
                        "hour",
                        "rule",
                        "blocked_by",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("rule", models.TextField()),
                ("blocked_by", models.TextField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_approllup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="KeyDayRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id", "day", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("allowed", models.BigIntegerField()),
                ("blocked", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_keydayrollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="KeyPathRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id",
                        "key_id",
                        "day",
                        "path",
                        "allowed",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("path", models.TextField()),
                ("allowed", models.BooleanField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_keypathrollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="GatewayStatus",
            fields=[
                ("incarnation", models.UUIDField(primary_key=True, serialize=False)),
                ("host", models.TextField()),
                ("pid", models.IntegerField()),
                ("limits", models.TextField(default="host")),
                ("stale_bound_seconds", models.FloatField(default=15)),
                ("generation", models.BigIntegerField()),
                ("confirmed_at", models.DateTimeField()),
                ("started_at", models.DateTimeField()),
            ],
            options={
                "db_table": "apiauth_gatewaystatus",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="KeyUsage",
            fields=[
                (
                    "key",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="usage",
                        serialize=False,
                        to="apiauth.key",
                    ),
                ),
                ("app_id", models.BigIntegerField()),
                ("last_used_at", models.DateTimeField()),
                ("client_ip", models.TextField(null=True)),
                ("method", models.TextField()),
                ("path", models.TextField()),
                ("allowed", models.BooleanField()),
            ],
            options={
                "db_table": "apiauth_keyusage",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="MinuteRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id", "minute", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("allowed", models.BigIntegerField()),
                ("blocked", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_minuterollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="AppMinuteRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id", "minute", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("allowed", models.BigIntegerField()),
                ("blocked", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_appminuterollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PathRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "app_id",
                        "hour",
                        "path",
                        "allowed",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("app_id", models.BigIntegerField()),
                ("path", models.TextField()),
                ("allowed", models.BooleanField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "db_table": "apiauth_pathrollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SpoolFile",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("host", models.TextField()),
                ("drained_bytes", models.BigIntegerField()),
                ("records", models.BigIntegerField()),
                ("quarantined", models.BigIntegerField()),
                ("updated_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "apiauth_spoolfile",
                "managed": False,
            },
        ),
    ]
