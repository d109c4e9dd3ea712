"""Triggers and constraints that hold for raw SQL too; see sql/guards.sql."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("apiauth", "0001_initial")]

    operations = [
        migrations.RunSQL((SQL / "guards.sql").read_text(), (SQL / "guards_reverse.sql").read_text()),
    ]
