"""The gateway as far as one of its steps, for `bench.steps`: the same server with part of the work."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from apiauth.http.check_request import MOST_BODY_BYTES
from apiauth.http.gateway import _question, admit, read_body
from bench.unlimited_wsgi import application as gateway

ANSWER = b"{" + b" " * 1_000 + b"}"  # as long as a true one
Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def constant(environ: Environ) -> None:
    """Do nothing."""


def body(environ: Environ) -> None:
    """Read the body."""
    read_body(environ, MOST_BODY_BYTES)


def question(environ: Environ) -> Any:
    """Also admit the caller, and read what it asks."""
    peer, deployment_id = admit(gateway._admission, environ)
    return _question(read_body(environ, MOST_BODY_BYTES), peer, environ, deployment_id)


def decision(environ: Environ) -> None:
    """Also decide; where the spool takes nothing, without recording it."""
    gateway._checker.check(question(environ))


STEP = os.environ["BENCH_STEP"]
WORK = {"constant": constant, "body": body, "question": question, "decision": decision, "record": decision}[STEP]
if STEP == "decision":
    gateway._checker._spool.append_frames = lambda frames: None  # type: ignore[method-assign]  # it takes nothing


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Do the work of the step and give the answer that is always the same."""
    if environ["REQUEST_METHOD"] != "POST":
        return gateway(environ, start_response)
    WORK(environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [ANSWER]
