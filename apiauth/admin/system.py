"""How the installation is: its gateways, and how far the workers have come, as the database knows them."""

from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from apiauth.audit import backlog, completeness
from apiauth.audit.spool import host_name
from apiauth.core import clock
from apiauth.models import GatewayStatus, SpoolFile
from apiauth.services import mails, propagation


@require_safe
def system(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show every gateway that has been heard within a day, and every spool that has been drained within thirty."""
    now = clock.now()
    context |= {
        "title": "System",
        "gateways": [_gateway(row, now) for row in GatewayStatus.objects.order_by("host", "started_at")],
        "spools": SpoolFile.objects.values("host")
        .annotate(
            decisions=Sum("records"),
            unfinished=Count("name", filter=Q(finished_at=None)),
            drained_at=Max("updated_at"),
            damaged=Sum("quarantined"),
        )
        .order_by("host"),
        "behind": completeness.behind(completeness.complete_until(), now),
        "waiting": _waiting(now),
        "host": host_name(),
        "mails": mails.unsent(now=now),
    }
    return TemplateResponse(request, "admin/system.html", context)


def _gateway(row: GatewayStatus, now: datetime) -> dict[str, Any]:
    age = max(0, round((now - row.confirmed_at).total_seconds()))
    return {"row": row, "age": age, "is_live": propagation.may_answer(row, now)}


def _waiting(now: datetime) -> backlog.Backlog | None:
    """Return what waits in this host's own spool, where it has one."""
    folder: Path = settings.ENVIRONMENT.spool_dir
    try:
        drained = SpoolFile.objects.filter(host=host_name()).values_list("name", "drained_bytes")
        return backlog.measure(folder, dict(drained), now)
    except OSError:
        return None
