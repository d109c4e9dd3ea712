"""What belongs to the installation itself: the proof of its peppers, its first administrator, its staff groups."""

import hmac
from datetime import datetime

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from apiauth.core.errors import KeysteadError
from apiauth.models import BackendKey, Key, PepperCheck

ADMINISTRATOR = "admin"

# What Django's own four permissions of a model cannot say.
OWN_PERMISSIONS = {
    "find_key": ("key", "Can find a key from what a customer pasted"),
    "disable_key": ("key", "Can disable and enable keys"),
    "revoke_key": ("key", "Can revoke keys"),
    "export_key": ("key", "Can export the keys that deserve a look"),
    "pause_app": ("app", "Can pause and resume apps"),
    "end_session": ("session", "Can end sessions"),
    "verify_activity": ("activityentry", "Can verify the activity log"),
}
_SEEN = (
    "deployment",
    "backendkey",
    "app",
    "key",
    "ratelimitscheme",
    "ticket",
    "session",
    "decision",
    "activityentry",
)
_VIEWER = (*(f"view_{model}" for model in _SEEN), "find_key")
_AGENT = (*_VIEWER, "disable_key", "end_session")
GROUPS = {
    "Support viewer": _VIEWER,
    "Support agent": _AGENT,
    "Security": (*_AGENT, "revoke_key", "export_key", "pause_app", "verify_activity", "change_backendkey"),
}


_RESTORE = "restore KEYSTEAD_PEPPERS (or secrets/peppers in the data folder) from a backup."


class WrongPepper(KeysteadError):
    """The pepper is not the one that this database's keys were made under: restore it from a backup."""

    code = "wrong_pepper"


def pepper_problem() -> str | None:
    """Return the sentence that says why these peppers do not fit this database, or None where they do."""
    peppers = settings.ENVIRONMENT.peppers
    for row in PepperCheck.objects.order_by("version"):
        if row.version in peppers.versions:
            if not hmac.compare_digest(bytes(row.fingerprint), peppers.fingerprint(row.version)):
                return f"Pepper {row.version} is not the one that this database's keys were made under: " + _RESTORE
        elif count := _needing(row.version):
            return f"Pepper {row.version} is missing, and live keys still need it ({count}): " + _RESTORE
    return None


def unnoted_peppers() -> list[int]:
    """Return the versions of peppers in use that this database does not know yet."""
    known = set(PepperCheck.objects.values_list("version", flat=True))
    return [version for version in settings.ENVIRONMENT.peppers.versions if version not in known]


def _needing(version: int) -> int:
    keys = Key.objects.filter(pepper_version=version, revoked_at=None).count()
    return keys + BackendKey.objects.usable().filter(pepper_version=version).count()


@transaction.atomic
def settle(*, now: datetime) -> bool:
    """Note what a migrated database has to know of this installation; tell whether it is new. Raises WrongPepper."""
    note_history()
    is_new = remember_peppers(now=now)
    make_groups()
    return is_new


@transaction.atomic
def remember_peppers(*, now: datetime) -> bool:
    """Note the peppers in use; return whether the installation is new. Raises WrongPepper."""
    if problem := pepper_problem():
        raise WrongPepper(problem)
    is_new = not PepperCheck.objects.exists()
    peppers = settings.ENVIRONMENT.peppers
    for version in peppers.versions:
        PepperCheck.objects.get_or_create(
            version=version, defaults={"fingerprint": peppers.fingerprint(version), "first_seen_at": now}
        )
    return is_new


@transaction.atomic
def note_history() -> bool:
    """Note that the database was restored or failed over, so that gateways read it anew; tell whether it was."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT keystead_note_history()")
        row = cursor.fetchone()
    return bool(row and row[0])


@transaction.atomic
def make_administrator(*, password: str) -> bool:
    """Make the first administrator; return False where there is one already."""
    if has_administrator():
        return False
    get_user_model()._default_manager.create_superuser(username=ADMINISTRATOR, password=password)
    return True


def has_administrator() -> bool:
    """Tell whether somebody may do everything in the admin."""
    return bool(get_user_model()._default_manager.filter(is_superuser=True).exists())


@transaction.atomic
def make_groups() -> None:
    """Make our permissions and the staff groups; what a group may do is the operator's to change later."""
    for codename, (model, name) in OWN_PERMISSIONS.items():
        kind = ContentType.objects.get(app_label="apiauth", model=model)
        Permission.objects.get_or_create(codename=codename, content_type=kind, defaults={"name": name})
    for group_name, codenames in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=group_name)
        if is_new:
            group.permissions.set(Permission.objects.filter(content_type__app_label="apiauth", codename__in=codenames))
