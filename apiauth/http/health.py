"""Tells whoever runs the web process that it lives, and whether it can serve."""

from functools import cache

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from apiauth.core.errors import Unavailable


@csrf_exempt  # it only reads: another method hears 405, not of a token
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process lives."""
    return JsonResponse({"status": "ok"})


@csrf_exempt  # it only reads: another method hears 405, not of a token
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer once the database does and has every migration of this release. Raises Unavailable."""
    try:
        missing = _newest_migrations() - set(MigrationRecorder(connection).applied_migrations())
    except (DatabaseError, InterfaceError):
        raise Unavailable("The database does not answer.") from None
    if missing:
        raise Unavailable("The database lacks migrations of this release: run ./keystead migrate.")
    return JsonResponse({"status": "ready"})


@cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).graph.leaf_nodes())
