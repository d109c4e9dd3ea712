"""The gateway as a plain WSGI callable: may this key do this, or these keys those things?

It stands on a listener of its own and knows no Django. A decision is in the spool before its
answer is; whatever cannot be decided or recorded is a 503, never an allow.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

import msgspec
import structlog

from apiauth.core import clock
from apiauth.core.errors import Invalid, KeysteadError, NotAllowed, NotAuthenticated, NotFound, TooLarge, Unavailable
from apiauth.core.secrets import Peppers, SecretKind
from apiauth.http.check_answer import RETRY_SECONDS, answer, batch_answer, plain_refusal, refusal
from apiauth.http.check_request import (
    MOST_BATCH_BYTES,
    MOST_BODY_BYTES,
    logged_user_agent,
    parse_batch,
    parse_body,
    parse_resource,
    within_batch,
)
from apiauth.verify.addresses import Address, is_within, networks_of, parse_address
from apiauth.verify.check import Checker, Question, Stale
from apiauth.verify.snapshot import Snapshot

CHECK_PATH = "/v1/authz/check"
BATCH_PATH = "/v1/authz/check-batch"
METRICS_PATH = "/metrics"

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Headers = list[tuple[str, str]]

log = structlog.get_logger(__name__)

_JSON: Headers = [("Content-Type", "application/json")]
_STATUS = {
    200: "200 OK",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    411: "411 Length Required",
    413: "413 Content Too Large",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}


class MethodNotAllowed(KeysteadError):
    """This address does not take this method."""

    code = "method_not_allowed"
    status = 405


class CallerNotAllowed(NotAllowed):
    """This gateway answers only callers on its own network. See KEYSTEAD_GATEWAY_ALLOW."""

    code = "caller_not_allowed"


class NotForBrowsers(NotAllowed):
    """The gateway answers servers. A browser never asks it: that would show keys to whoever looks."""

    code = "not_for_browsers"


class LengthRequired(KeysteadError):
    """Send the body with a Content-Length, not in chunks."""

    code = "length_required"
    status = 411


class CallerUnknown(NotAuthenticated):
    """Send a backend key with the scope gateway:check as a bearer token."""

    code = "caller_unknown"


class Admission(Protocol):
    """Says who may ask."""

    def admit(self, peer: Address | None, environ: Environ) -> int | None:
        """Return the deployment that the caller speaks for, None for any; raise where it may not ask."""


class NetworkAdmission:
    """Takes questions from loopback and private addresses, or from the listed ranges alone."""

    def __init__(self, allow: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._allow = networks_of(allow)
        self._admitted: set[str] = set()

    def admit(self, peer: Address | None, environ: Environ) -> None:
        if "HTTP_ORIGIN" in environ:  # a page that was led here by its own name for our address
            raise NotForBrowsers
        if peer is None or peer.text in self._admitted:
            return  # no address: a socket in the file system, whose permissions have decided
        if not self._is_allowed(peer):
            log.warning("gateway.caller_refused", peer=peer.text)
            raise CallerNotAllowed
        if len(self._admitted) < 10_000:
            self._admitted.add(peer.text)

    def _is_allowed(self, peer: Address) -> bool:
        if self._allow:
            return peer.value.is_loopback or is_within(peer, self._allow)
        return peer.value.is_loopback or peer.value.is_private


class TokenAdmission:
    """Takes questions from backend keys that may check, each about keys of its own deployment."""

    def __init__(self, snapshot: Snapshot, peppers: Peppers) -> None:
        self._snapshot = snapshot
        self._digests = [peppers.digester(SecretKind.BACKEND_KEY, version) for version in peppers.versions]

    def admit(self, peer: Address | None, environ: Environ) -> int:
        scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() == "bearer" and token.isascii():
            keys = self._snapshot.tables.backend_keys
            for digest in self._digests:
                key = keys.get(digest(token))
                if key is not None and key.may_check and not key.is_revoked:
                    return key.deployment_id
        log.warning("gateway.caller_refused", peer=peer.text if peer else None)
        raise CallerUnknown


class MetricsDoor(Protocol):
    """Tells the metrics of this host to whom they are for."""

    def answer(self, environ: Environ) -> tuple[int, Headers, bytes]:
        """Return status, headers and body."""


class Gateway:
    """The WSGI callable."""

    def __init__(
        self, *, checker: Checker, snapshot: Snapshot, admission: Admission, metrics: MetricsDoor | None = None
    ) -> None:
        self._checker = checker
        self._snapshot = snapshot
        self._admission = admission
        self._told: tuple[int, int, Headers] = (0, -1, _JSON)
        self._metrics = metrics

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        is_single = path == CHECK_PATH
        if environ["REQUEST_METHOD"] != "POST" or not (is_single or path == BATCH_PATH):
            status, headers, body = self._other_or_refusal(path, environ)
        else:
            try:
                status, headers, body = self._check(environ) if is_single else self._check_batch(environ)
            except Exception as error:  # the last resort of a process that must go on answering
                status, headers, body = self._refused(error, refusal if is_single else plain_refusal)
        start_response(_STATUS[status], headers)
        return [body]

    def _refused(self, error: Exception, refuse: Callable[[KeysteadError], bytes]) -> tuple[int, Headers, bytes]:
        """Return the refusal of what was raised, and never an allow."""
        error = _foreseen(error)
        self._checker.measures.refused(error.code)
        headers = headers_of(error)
        if isinstance(error, Stale) and error.stale_ms is not None:
            headers = [*headers, *_knowledge(self._snapshot.tables.horizon, error.stale_ms)]
        return error.status, headers, refuse(error)

    def _check(self, environ: Environ) -> tuple[int, Headers, bytes]:
        peer, deployment_id = admit(self._admission, environ)
        data = read_body(environ, MOST_BODY_BYTES)
        generation = self._snapshot.tables.horizon
        outcome = self._checker.check(_question(data, peer, environ, deployment_id))
        status, body = answer(outcome)
        return status, self._headers(generation, outcome.stale_ms), body

    def _check_batch(self, environ: Environ) -> tuple[int, Headers, bytes]:
        """Decide about every check of a batch, or about none where one of them cannot be read."""
        peer, deployment_id = admit(self._admission, environ)
        questions = []
        for index, data in enumerate(parse_batch(read_body(environ, MOST_BATCH_BYTES))):
            try:
                questions.append(_question(data, peer, environ, deployment_id))
            except Invalid as problem:
                raise within_batch(index, problem) from None
        generation = self._snapshot.tables.horizon
        outcomes = self._checker.check_all(questions)
        return 200, self._headers(generation, outcomes[0].stale_ms), batch_answer(outcomes)

    def _headers(self, generation: int, stale_ms: int) -> Headers:
        """Return the headers of a decision that saw at least this generation, made anew when they say something new."""
        told = self._told
        if told[0] != generation or told[1] != stale_ms:
            headers = [*_JSON, *_knowledge(generation, stale_ms)]
            told = self._told = (generation, stale_ms, headers)
        return told[2]

    def _other_or_refusal(self, path: str, environ: Environ) -> tuple[int, Headers, bytes]:
        try:
            return self._other(path, environ)
        except Exception as error:  # as above: what a disk says to whoever measures it must cut nobody off
            problem = _foreseen(error)
            return problem.status, headers_of(problem), plain_refusal(problem)

    def _other(self, path: str, environ: Environ) -> tuple[int, Headers, bytes]:
        is_check = path in (CHECK_PATH, BATCH_PATH)
        metrics = self._metrics if path == METRICS_PATH else None
        if not is_check and metrics is None and path not in ("/health", "/ready"):
            error: KeysteadError = NotFound()
        elif is_check or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            error = MethodNotAllowed()
        elif metrics is not None:
            return metrics.answer(environ)
        else:
            return self._health(is_readiness=path == "/ready")
        allow = "POST" if is_check else "GET, HEAD"
        headers = [*_JSON, ("Allow", allow)] if error.status == 405 else _JSON
        return error.status, headers, plain_refusal(error)

    def _health(self, *, is_readiness: bool) -> tuple[int, Headers, bytes]:
        """Say how this process is; the process lives where it answers at all, so only readiness has a 503."""
        state = self._checker.freshness()
        room = self._checker.room()
        limits = self._checker.limits()
        status = 503 if is_readiness and (room.is_short or not state.is_fresh) else 200
        body = {
            "status": self._state(is_fresh=state.is_fresh, is_short=room.is_short),
            "stale_ms": state.stale_ms,
            "keys": self._keys(),
            "generation": str(self._snapshot.tables.horizon),
            "epoch": self._snapshot.tables.epoch,
            "spool": {
                "used": round(room.used, 3),
                "reserve": room.has_reserve,
                "quarantined": room.quarantined,
            },
            "limits": {
                "mode": limits.mode,
                "degraded": limits.degraded_since is not None,
                "since": limits.degraded_since,
                "crowded_since": limits.crowded_since,
            },
            "time": clock.now(),
        }
        return status, _JSON, msgspec.json.encode(body)

    def _keys(self) -> dict[str, Any]:
        tables = self._snapshot.tables
        return {
            "resident": len(tables.keys),
            "total": tables.key_count,
            "mode": "all" if tables.keys.is_complete else "recent",
        }

    def _state(self, *, is_fresh: bool, is_short: bool) -> str:
        if not self._snapshot.is_loaded:
            return "loading"
        if not is_fresh:
            return "stale"
        return "spool_full" if is_short else "ok"


def _foreseen(error: Exception) -> KeysteadError:
    """Return what was raised as a refusal; what nobody foresaw is on the log."""
    if isinstance(error, KeysteadError):
        return error
    log.error("gateway.failed", exc_info=error)
    return Unavailable()


def admit(admission: Admission, environ: Environ) -> tuple[Address | None, int | None]:
    """Return who calls and for which deployment, None for any. Raises what the admission raises."""
    text = environ.get("REMOTE_ADDR")
    peer = parse_address(text) if text else None
    return peer, admission.admit(peer, environ)


def _question(data: bytes, peer: Address | None, environ: Environ, deployment_id: int | None) -> Question:
    """Return what the body of one check asks, with what the call itself adds. Raises Invalid."""
    body = parse_body(data)
    claimed = body.client_ip
    if claimed is None:
        claimed = environ.get("HTTP_X_ORIGINAL_CLIENT_IP")
    client = parse_address(claimed) if claimed is not None else peer
    if client is None:
        raise Invalid("`client_ip` is missing, and the caller has no address of its own.", field="client_ip")
    path, logged_path = parse_resource(body.resource)
    agent = body.user_agent
    return Question(
        body.principal.value,
        body.method,
        path,
        logged_path,
        client,
        peer.text if peer is not None else "",
        logged_user_agent(agent if agent is not None else _agent_of(environ)),
        body.required_permissions or [],
        deployment_id,
    )


def _knowledge(generation: int, stale_ms: int) -> Headers:
    """Return the headers that say how much of the database was known."""
    return [("Keystead-Generation", str(generation)), ("Keystead-Stale-Ms", str(stale_ms))]


def headers_of(error: KeysteadError) -> Headers:
    """Return the headers of a refusal."""
    if error.status == 503:
        return [*_JSON, ("Retry-After", str(RETRY_SECONDS))]
    if error.status == 401:
        return [*_JSON, ("WWW-Authenticate", 'Bearer realm="Keystead gateway"')]
    return _JSON


def read_body(environ: Environ, most: int) -> bytes:
    """Return the body. Raises LengthRequired; TooLarge before reading, or at the bound where the length is not told."""
    if "HTTP_TRANSFER_ENCODING" in environ:  # two ways to say where a body ends are one too many
        raise LengthRequired
    length = environ.get("CONTENT_LENGTH")
    if length and length.isdecimal() and int(length[:9]) > most:
        raise TooLarge
    data: bytes = environ["wsgi.input"].read(most + 1)
    if len(data) > most:
        raise TooLarge
    return data


def _agent_of(environ: Environ) -> str:
    """Return the user agent that the headers tell; header bytes come as Latin-1."""
    text = environ.get("HTTP_X_ORIGINAL_USER_AGENT") or environ.get("HTTP_USER_AGENT") or "unknown"
    return str(text).encode("latin-1", "replace").decode("utf-8", "replace").replace("\0", "\ufffd")
