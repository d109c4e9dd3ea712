"""Keystead's own settings, but no middleware, one view, and a connection that each thread keeps, as the peers do."""

from config import settings as ours
from config.settings import *  # noqa: F403  # all of them but what stands below

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.peers.django_query.urls"
_DATABASE = ours.DATABASES["default"]
_OPTIONS = {name: value for name, value in _DATABASE["OPTIONS"].items() if name != "pool"}
DATABASES = {"default": {**_DATABASE, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "OPTIONS": _OPTIONS}}
