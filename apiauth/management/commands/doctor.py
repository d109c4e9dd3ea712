"""Tells whether this installation is healthy, and what to do where it is not."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from apiauth.core import clock
from apiauth.management import command, examination


class Command(command.Command):
    """Check settings, database, pepper, spool, clock, gateways and trust; advise per failed check."""

    help = "Check this installation; exit code 1 where something is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_json(parser)

    def run(self, options: dict[str, Any]) -> None:
        findings = examination.examine(now=clock.now())
        failed = [finding for finding in findings if not finding.ok]
        facts = {"ok": not failed, "checks": [asdict(finding) for finding in findings]}
        self.tell(options, facts, "\n".join(line(finding) for finding in findings))
        if failed:
            self.refuse(f"Not healthy: {', '.join(finding.name for finding in failed)}.")


def line(finding: examination.Finding) -> str:
    """Return a finding as a person reads it."""
    advice = f"\n          {finding.advice}" if finding.advice else ""
    return f"{'ok' if finding.ok else 'PROBLEM':<9} {finding.name}: {finding.detail}{advice}"
