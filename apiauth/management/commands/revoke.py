"""Revokes many keys at once, as after a leak."""

import argparse
import time
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from apiauth.core import clock
from apiauth.core.errors import Invalid, NotFound
from apiauth.core.key_filter import day, read_filter
from apiauth.management import command
from apiauth.models import MassRevoke
from apiauth.services import apps, mass_revoke, propagation

HELD_SECONDS = 0.1


class Command(command.Command):
    """Say first what would be ended (`--dry-run`), then end it; a run that was cut off goes on with `--resume`."""

    help = "Revoke every key that fits what you say, all of it at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deployment", type=command.an_id, help="keys of this deployment alone")
        parser.add_argument("--app", help="keys of the app with this slug; needs --deployment")
        parser.add_argument("--prefix", help="keys that begin with this")
        parser.add_argument(
            "--created-after", type=_moment, help="keys made at this moment or after, such as 2031-04-05"
        )
        parser.add_argument("--created-before", type=_moment, help="keys made before this moment")
        parser.add_argument("--user", help="keys that belong to this user, by the product's id")
        parser.add_argument("--created-by", help="keys made by this person or backend key, by name or id")
        parser.add_argument("--permission", help="keys that hold this permission")
        parser.add_argument("--last-used-from", metavar="CIDR", help="keys last used from this address range")
        parser.add_argument("--key", action="append", metavar="ID_OR_LAST_FOUR", help="this key; may be repeated")
        parser.add_argument("--reason", help="why; kept in the activity log, where customers can read it")
        parser.add_argument("--dry-run", action="store_true", help="only say which keys that would be")
        parser.add_argument("--resume", type=command.an_id, metavar="ID", help="go on with a run that was cut off")
        self.add_json(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["resume"]:
            job = MassRevoke.objects.filter(pk=options["resume"]).first()
            if job is None:
                raise NotFound("There is no such run.")
            return self.carry_out(job, options)
        wanted = read_filter(_filter(options))
        if options["dry_run"]:
            return self.try_out(wanted, options)
        if not options["reason"]:
            raise Invalid("Say why with --reason, or try it first with --dry-run.", field="reason")
        job = mass_revoke.start(wanted, reason=options["reason"], actor=command.operator(), now=clock.now())
        return self.carry_out(job, options)

    def try_out(self, wanted: Any, options: dict[str, Any]) -> None:
        found = mass_revoke.try_out(wanted, now=clock.now())
        sample = [
            {
                "id": str(key.pk),
                "name": key.name,
                "app_slug": key.app.slug,
                "ending": f"{key.key_prefix}_…{key.key_suffix}",
            }
            for key in found.sample
        ]
        facts = {"keys": found.count, "apps": found.apps, "calls_last_day": found.calls_last_day, "sample": sample}
        lines = [
            f"{found.count} keys of {found.apps} apps, {found.calls_last_day} calls in the last day. None was revoked."
        ]
        lines += [f"  {row['id']}  {row['ending']:<20}{row['app_slug']}  {row['name']}" for row in sample]
        self.tell(options, facts, "\n".join(lines))

    def carry_out(self, job: MassRevoke, options: dict[str, Any]) -> None:
        self.stderr.write(
            f"Run {job.pk}: {job.found} keys. Cut off, it goes on with --resume {job.pk}, or in a worker."
        )
        ended = 0
        while not mass_revoke.progress(job, now=clock.now()).is_finished:
            revoked = mass_revoke.run_batch(job, now=clock.now())
            ended += revoked
            if not revoked:  # a worker has taken it up, or somebody holds the last of its keys
                time.sleep(HELD_SECONDS)
        found = propagation.of_all_so_far(propagation.LONGEST_WAIT_SECONDS)
        facts = {
            "id": str(job.pk),
            "keys": job.found,
            "revoked": ended,
            "propagated": found.is_complete,
            "gateways": {"acknowledged": found.acknowledged, "live": found.live},
        }
        self.tell(options, facts, f"Revoked {ended} keys; none that fits is left. {found.sentence}")


def _filter(options: dict[str, Any]) -> dict[str, Any]:
    app_id = None
    if options["app"]:
        if not options["deployment"]:
            raise Invalid("--app needs --deployment: slugs are unique in a deployment alone.", field="app")
        app_id = apps.find_app_id(deployment_id=options["deployment"], slug=options["app"])
    return {
        "deployment_id": options["deployment"],
        "app_id": app_id,
        "key_prefix": options["prefix"],
        "created_after": options["created_after"],
        "created_before": options["created_before"],
        "user_id": options["user"],
        "created_by": options["created_by"],
        "permission": options["permission"],
        "last_used_from": options["last_used_from"],
        "keys": options["key"] or [],
    }


def _moment(text: str) -> datetime:
    try:
        return day(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no moment such as 2031-04-05 or 2031-04-05T06:07:08Z"
        ) from None
