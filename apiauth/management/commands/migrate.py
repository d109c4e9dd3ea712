"""Django's `migrate`, and what else makes a database one that Keystead can be served from."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate

from apiauth.core import clock
from apiauth.management import command, database
from apiauth.services import installation
from config import env

# With any of these only a part is done, or none: it is Django's alone.
_PARTIAL = ("app_label", "plan", "check_unapplied", "fake", "fake_initial", "prune", "run_syncdb")


class Command(command.Command, Migrate):
    """Migrate; note the peppers and a restored history; make the staff groups and the first administrator.

    Safe to repeat, and on several hosts at once: they take turns.
    """

    help = "Bring the database to this version."

    def run(self, options: dict[str, Any]) -> None:
        if any(options[name] for name in _PARTIAL):
            Migrate.handle(self, **options)
            return
        with database.in_turn():
            database.take_as_long_as_it_takes()
            Migrate.handle(self, **options)
            installation.settle(now=clock.now())
            self._administrator()

    def _administrator(self) -> None:
        password = env.optional_secret("ADMIN_PASSWORD")
        if password and installation.make_administrator(password=password):
            self.stdout.write(f"Made the first administrator, {installation.ADMINISTRATOR}.")
        elif not installation.has_administrator():
            self.stdout.write(
                "Nobody may sign in to the admin yet: set KEYSTEAD_ADMIN_PASSWORD or KEYSTEAD_ADMIN_PASSWORD_FILE "
                "and run this again, or run ./keystead createsuperuser."
            )
