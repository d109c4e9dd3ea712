"""Every command of Keystead: the ones that start by themselves, and Django's own and ours."""

import importlib
import os
import sys

NAMES = {"backend-key": "backend_key"}
PROCESSES = {
    "up": "config.up",
    "serve": "config.processes",
    "gateway": "config.processes",
    "worker": "config.worker",
    "openapi": "config.openapi",
}
OF_THE_CODE = {"makemigrations", "openapi"}  # need no installation
USAGE = """\
Usage: ./keystead COMMAND [--data-dir FOLDER] [options]

  up            run everything on this machine: database, portal, gateway, worker, example product
  serve         run the web process (portal, JSON API, admin)
  gateway       run the gateway that answers /v1/authz/check
  worker        run the worker that drains the decision log
  migrate       bring the database to this version
  deployment    make a deployment
  backend-key   make, list or revoke the keys of a product's backend
  revoke        revoke many keys at once, as after a leak
  ticket        make a ticket into an app's portal
  doctor        check settings, database, spool and clock
  activity      verify the activity log
  openapi       print the description of an API
  test          run the test suite

Every command explains itself with --help.
"""


def take_data_dir(arguments: list[str]) -> list[str]:
    """Return the arguments without --data-dir, which goes into the environment wherever it stood."""
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, has_value, value = word.partition("=")
        if name != "--data-dir":
            rest.append(word)
            continue
        value = value if has_value else next(words, "")
        if not value:
            sys.stderr.write("--data-dir needs a folder.\n")
            raise SystemExit(2)
        os.environ["KEYSTEAD_DATA_DIR"] = os.path.abspath(value)
    return rest


def run_django(arguments: list[str]) -> int:
    """Run one of Django's commands or ours."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    from django.core.management import execute_from_command_line, get_commands
    from django.db import DatabaseError

    django.setup()  # before it, get_commands would find, and keep, Django's own commands alone
    command = NAMES.get(arguments[0], arguments[0])
    if command not in get_commands() and command != "help":
        sys.stderr.write(f"There is no command {arguments[0]!r}: ./keystead --help lists them.\n")
        return 2
    try:
        execute_from_command_line(["./keystead", command, *arguments[1:]])
    except DatabaseError as error:
        sys.stderr.write(f"The database refused: {str(error).strip().splitlines()[0]}\n")
        return 1
    return 0


def run(arguments: list[str]) -> int:
    """Run a command by its name: one that starts by itself, or one of Django's or ours."""
    if arguments[0] in PROCESSES:
        process = importlib.import_module(PROCESSES[arguments[0]])
        return int(process.main(arguments))
    return run_django(arguments)


def main(arguments: list[str]) -> int:
    """Run the command that these arguments name and return its exit code."""
    if any("\udc80" <= character <= "\udcff" for word in arguments for character in word):  # PEP 383: no UTF-8
        sys.stderr.write("The arguments must be UTF-8.\n")
        return 2
    arguments = take_data_dir(arguments)
    from config.env import EnvironmentProblem

    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(USAGE, end="", file=sys.stdout if arguments else sys.stderr, flush=True)
            return 0 if arguments else 2
        if arguments[0] in OF_THE_CODE:
            from config import without_installation

            with without_installation.settings():
                return run(arguments)
        return run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our words has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except EnvironmentProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
