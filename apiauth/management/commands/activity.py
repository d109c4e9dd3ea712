"""Proves that nobody altered the activity log."""

from typing import Any

from django.core.management.base import CommandParser

from apiauth.management import command
from apiauth.services import activity


class Command(command.Command):
    """Walk every hash chain and name the first broken link of each."""

    help = "Verify the activity log."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="verify")
        self.add_json(actions.add_parser("verify", help="walk every chain; exit code 1 where one is broken"))

    def run(self, options: dict[str, Any]) -> None:
        walked = list(activity.verify_all())
        broken = [
            {"chain": link.chain, "sequence": link.sequence, "problem": link.problem}
            for _, _, link in walked
            if link is not None
        ]
        entries = sum(length for _, length, _ in walked)
        facts = {"ok": not broken, "chains": len(walked), "entries": entries, "broken": broken}
        lines = [f"{link['chain']}: entry {link['sequence']}: {link['problem']}" for link in broken]
        self.tell(options, facts, "\n".join(lines) or f"{len(walked)} chains with {entries} entries are whole.")
        if broken:
            self.refuse("The activity log was altered: see the broken links, and compare with a backup.")
