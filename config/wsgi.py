"""The web process: portal, JSON API and admin."""

import os
from collections.abc import Iterable
from typing import Any, cast

import django
from django.core.handlers.wsgi import LimitedStream, WSGIHandler
from django.http import HttpResponse

from apiauth.http.forwarded import caller_of
from apiauth.http.slow_bodies import SlowBodies
from apiauth.management import static_files
from config import env, processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TRUSTED_PROXIES = env.load().trusted_proxies

django.setup(set_prefix=False)
static_files.collect()  # before WhiteNoise looks for them
django_application = WSGIHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Hand an answer over in one piece, once Django is done with it, unless it is made while it is sent.

    granian sends a list at once and with its length. It iterates over anything else, and can then fail to look
    for a request that arrived before the end of that: its caller waited for ever.
    """
    if TRUSTED_PROXIES and (forwarded := environ.get("HTTP_X_FORWARDED_FOR")):
        environ["REMOTE_ADDR"] = caller_of(environ.get("REMOTE_ADDR", ""), forwarded, TRUSTED_PROXIES)
    response = django_application(environ, start_response)
    if not isinstance(response, HttpResponse):
        return cast("Iterable[bytes]", response)
    response.close()
    return [response.content]


SlowBodies(LimitedStream.read, processes.WEB_THREADS, processes.BODY_SECONDS).start()  # it reads every body, forms too
