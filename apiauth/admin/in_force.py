"""Tells staff on how many gateways a change is in force: once it is made, and on the page of what was changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html

from apiauth.admin.window import Window, column, link
from apiauth.services import propagation

WAIT_SECONDS = 1.0  # within which every gateway that hears the database has a change


def tell(request: HttpRequest) -> None:
    """Say on how many gateways everything is in force that was done so far; called once it is committed."""
    found = propagation.of_all_so_far(WAIT_SECONDS)
    say = messages.success if found.is_complete else messages.warning
    say(request, found.sentence)


class GatewayWindow(Window):
    """A window on what gateways hold: a change of it is not done before they have it."""

    def is_done(self, request: HttpRequest) -> None:
        tell(request)

    @column("Last change in force")
    def in_force(self, row: Any) -> str:
        found = propagation.of_row(row)
        if found.is_complete:
            return found.sentence
        return format_html("{} {}", found.sentence, link(str(self.opts.model_name), row.pk, "Look again"))
