"""Serves the portal's pages from memory."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.bare_portal_settings"
application = get_wsgi_application()

from bench.bare_portal import remember  # noqa: E402  # what it imports needs the application to be set up

for path in os.environ["BENCH_PATHS"].split():
    remember(path)
