"""The web process: portal, JSON API and admin."""

import os

from django.core.handlers.wsgi import LimitedStream
from django.core.wsgi import get_wsgi_application

from apiauth.http.slow_bodies import SlowBodies
from config import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
SlowBodies(LimitedStream.read, processes.WEB_THREADS, processes.BODY_SECONDS).start()  # it reads every body, forms too
