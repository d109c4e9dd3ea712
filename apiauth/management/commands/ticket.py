"""Makes a ticket into an app's portal: support's way in, recorded in the activity log."""

from typing import Any

from django.core.management.base import CommandParser

from apiauth.core import clock
from apiauth.core.roles import Role
from apiauth.management import command
from apiauth.services import tickets


class Command(command.Command):
    """Issue a ticket for one app and one subject, and print the link that it opens."""

    help = "Make a ticket into an app's portal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deployment", required=True, type=command.an_id, help="the deployment's id")
        parser.add_argument("--app", required=True, help="the app's slug")
        parser.add_argument("--subject", required=True, help="the product's id of the person who acts")
        parser.add_argument("--role", choices=[role.value for role in Role], help="default: the app's own")
        self.add_json(parser)

    def run(self, options: dict[str, Any]) -> None:
        request = tickets.TicketRequest(app_slug=options["app"], subject_id=options["subject"], role=options["role"])
        issued = tickets.issue_ticket(
            deployment_id=options["deployment"], request=request, actor=command.operator(), now=clock.now()
        )
        # The same three fields as POST /session/tickets answers, so that scripts can use either.
        facts = {"ticket": issued.text, "url": issued.url, "expires_at": int(issued.row.expires_at.timestamp())}
        seconds = issued.row.lifetime_seconds()
        self.tell(options, facts, f"{issued.url}\nThe link works once, within {seconds} seconds.")
