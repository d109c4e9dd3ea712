"""Keystead's own settings, but no middleware and one view."""

from config.settings import *  # noqa: F403  # all of them but what stands below

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.peers.django_gateway.urls"
