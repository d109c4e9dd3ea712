"""The settings of the bare views: the same database, no middleware."""

from config.settings import *  # noqa: F403  # all of them but what stands below

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.bare"
