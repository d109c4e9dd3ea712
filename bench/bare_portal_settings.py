"""The settings of the portal's pages from memory: no middleware."""

from config.settings import *  # noqa: F403  # all of them but what stands below

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.bare_portal"
