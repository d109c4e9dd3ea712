"""The server processes: one granian with one worker each, which never outlives what started it."""

import argparse
import importlib
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from config import env, launcher, ports
from config.env import EnvironmentProblem
from config.graceful_stop import LettingGo, WSGIApplication, keep_for_worker, take_signals

BACKLOG = 1024
KILL_SECONDS = 2
HEADER_READ_MS = 10_000
BODY_SECONDS = 10.0  # for a body to arrive, where every thread of a process waits for one
BUFFER_BYTES = 64 * 1024
WEB_THREADS = 4  # half of the connections of its database pool
GATEWAY_THREADS = 4
WEB_NICENESS = 15  # under `up`; see docs/decisions/0013
READY_POLL_SECONDS = 0.02
READY_SECONDS = 3.0


def die_with_parent() -> None:
    """Let the kernel end this process when granian's main process ends, however that happens.

    Does nothing outside a worker of a server process.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None and sys.platform == "linux":
        launcher.die_with(parent.pid, signal.SIGKILL)


def load_application(target: str) -> WSGIApplication:
    """Load `module:name` in a fresh worker process.

    It takes from the socket that it shares once it is ready, or else after a while, to say that it is not.
    """
    die_with_parent()
    take_signals()
    module, _, name = target.partition(":")
    application = LettingGo(getattr(importlib.import_module(module), name), env.stop_seconds())
    is_ready = threading.Event()
    threading.Thread(target=report_ready, args=(application, is_ready), daemon=True).start()
    is_ready.wait(READY_SECONDS)
    application.start()
    return application


def report_ready(application: WSGIApplication, is_ready: threading.Event) -> None:
    """Say so once the application answers /ready with 200 in this very process.

    Several gateways share one port, so a question over the network could not tell them apart.
    """
    while not _is_ready(application):
        time.sleep(READY_POLL_SECONDS)
    is_ready.set()
    if report := os.environ.get("KEYSTEAD_READY_REPORT"):
        write_report(Path(report))


def _is_ready(application: WSGIApplication) -> bool:
    try:
        return _asks_ready(application) == "200"
    except Exception as problem:  # a loop of its own process: it says so and goes on asking
        print(f"not ready: {type(problem).__name__}", file=sys.stderr, flush=True)
        time.sleep(1)
        return False


def write_report(report: Path) -> None:
    """Note that this process answers."""
    partial = report.with_name(f"{report.name}.{os.getpid()}")
    partial.write_text(f"{os.getpid()}\n")
    partial.rename(report)


def _asks_ready(application: WSGIApplication) -> str:
    status = "500"

    def start_response(line: str, _headers: object, _problem: object = None) -> None:
        nonlocal status
        status = line.partition(" ")[0]

    body = application(
        {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/ready",
            "QUERY_STRING": "",
            "CONTENT_LENGTH": "0",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        },
        start_response,
    )
    try:
        for _part in body:
            pass
    finally:
        if hasattr(body, "close"):
            body.close()
    return status


def keep_to_processor(number: int) -> None:
    """Let this process and what it starts run on one processor: the number-th of those it may use, and round again.

    The server's thread and those that decide wake each other at each request. Where that goes from one
    processor to another, it costs more than the check (docs/decisions/0011).
    """
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[number % len(allowed)]})


def serve_wsgi(target: str, listener: int, blocking_threads: int) -> None:
    """Serve a WSGI application on a bound socket, in one worker of this process, until SIGTERM or SIGINT.

    More workers in one granian would share a start-up that gives up on a second quick crash; more
    processes share the socket instead.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.net import SocketHolder  # type: ignore[attr-defined]  # its stubs leave it out

    class OnSocket(Granian):  # type: ignore[misc, valid-type]  # granian names its server class at run time
        """A granian that takes from a socket that it is given; left alone, it binds one of its own on Linux."""

        def _init_shared_socket(self) -> None:
            self._ssp, self._sso = None, None
            self._shd = SocketHolder(listener, False, BACKLOG)  # type: ignore[call-arg]  # nor do they say what it takes

    if sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)
    server = OnSocket(
        target,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=blocking_threads,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_MS, max_buffer_size=BUFFER_BYTES),
        websockets=False,
        backlog=BACKLOG,
        log_access=False,
        log_level=LogLevels.error,  # it warns of having to kill workers that have just ended by themselves
        workers_kill_timeout=env.stop_seconds() + KILL_SECONDS,
    )
    keep_for_worker()
    ports.let_linger(listener)
    server.serve(target_loader=load_application)


def check_gateway_address(host: str, environment: env.Environment) -> None:
    """Refuse a gateway without credentials on an address that strangers can reach."""
    if environment.gateway_auth == "token" or environment.gateway_allow:
        return
    address = None
    with suppress(ValueError):
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    if address is None or address.is_unspecified or not (address.is_loopback or address.is_private):
        raise EnvironmentProblem(
            f"The gateway does not listen on {host} without credentials: set KEYSTEAD_GATEWAY_AUTH=token, "
            "or list the callers in KEYSTEAD_GATEWAY_ALLOW, or choose a private address with --host."
        )


def run_serve(options: argparse.Namespace) -> int:
    """Run the web process."""
    environment = env.load()
    if options.listener is not None:
        os.nice(environment.web_niceness)  # where a page and a check want one processor, the check goes first
        serve_wsgi("config.wsgi:application", options.listener, WEB_THREADS)
        return 0
    from config.supervisor import run_servers

    return run_servers("serve", ["web"], options.host, options.port, environment.stop_seconds)


def run_gateway(options: argparse.Namespace) -> int:
    """Run the gateway, in as many processes as asked for."""
    environment = env.load()
    if options.listener is not None:
        if environment.gateway_affinity == "processor":
            keep_to_processor(options.number)
        serve_wsgi("config.gateway_wsgi:application", options.listener, GATEWAY_THREADS)
        return 0
    check_gateway_address(options.host, environment)
    from config.supervisor import gateway_names, run_servers

    names = gateway_names(options.processes)
    return run_servers("gateway", names, options.host, options.port, environment.stop_seconds)


def main(arguments: list[str]) -> int:
    """Run `serve` or `gateway` with its options."""
    command, *rest = arguments
    parser = argparse.ArgumentParser(prog=f"./keystead {command}", allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)  # a socket from our supervisor
    parser.add_argument("--number", type=int, default=1, help=argparse.SUPPRESS)  # which of those on the socket
    if command == "serve":
        parser.add_argument("--port", type=port_number, default=8000, help="port (default 8000)")
        return run_serve(parser.parse_args(rest))
    parser.add_argument("--port", type=port_number, default=8001, help="port (default 8001)")
    parser.add_argument("--processes", type=process_count, default=1, help="processes that share the port")
    return run_gateway(parser.parse_args(rest))


def port_number(text: str) -> int:
    """Return a port from 0 to 65535. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= 65535):
        raise argparse.ArgumentTypeError("a port is a whole number from 0 to 65535")
    return int(text)


def process_count(text: str) -> int:
    """Return a number of processes from 1 to 64. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 3 and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError("processes is a whole number from 1 to 64")
    return int(text)
