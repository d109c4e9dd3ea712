"""Django: prefixes, one check for one call, the settings; REST framework beside other ways to authenticate."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from keystead_client import django

from tests.clients.python.conftest import ALLOWED, BLOCKED, KEY, PATIENT, Peer
from tests.clients.python.products import MIDDLEWARE, call_django, call_django_in_loop, django_settings

BEARER = {"Authorization": f"Bearer {KEY}"}


def settings(peer: Peer, **options: Any) -> Any:
    known = {"gateway_url": peer.url, "check_timeout_seconds": PATIENT, "protect": ["/v2", "/loop/"]}
    return django_settings(middleware=MIDDLEWARE, **{**known, **options})


@pytest.mark.parametrize("path", ["/v2/routes", "/v2/read", "/v2/no-permission"])
def test_a_protected_path_wants_a_key(peer: Peer, path: str) -> None:
    with settings(peer):
        assert call_django("GET", path).status == 401
        assert call_django_in_loop("GET", path).status == 401
        assert call_django("GET", path, BEARER).status == 200


@pytest.mark.parametrize("path", ["/v20", "/anybody"])
def test_other_paths_are_left_alone(peer: Peer, path: str) -> None:
    with settings(peer):
        answer = call_django("GET", path)

    assert (answer.status, answer.body) == (200, {"open": True})
    assert peer.asked == []


def test_nothing_is_protected_that_is_not_listed(peer: Peer) -> None:
    with settings(peer, protect=[]):
        assert call_django("GET", "/anybody").status == 200
        assert call_django("GET", "/v2/read").status == 401, "the view's own decorator"


def test_the_root_protects_everything(peer: Peer) -> None:
    with settings(peer, protect=["/"]):
        assert call_django("GET", "/anybody").status == 401


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_call_is_checked_once_for_what_its_view_requires(peer: Peer, in_loop: bool) -> None:
    with settings(peer):
        answer = call_django_in_loop("GET", "/loop/read", BEARER) if in_loop else call_django("GET", "/v2/read", BEARER)

    assert answer.status == 200
    assert answer.headers["ratelimit"] == '"60/60s";r=59;t=37'
    assert [asked.body["required_permissions"] for asked in peer.asked] == [["routes:read"]]


def test_a_decorator_that_the_middleware_cannot_see_asks_again(peer: Peer) -> None:
    peer.will_answer((200, ALLOWED), (200, BLOCKED | {"reason": "permission_denied"}))
    with settings(peer):
        assert call_django("GET", "/v2/routes", BEARER).status == 403
    assert [asked.body["required_permissions"] for asked in peer.asked] == [[], ["routes:read"]]


def test_a_view_outside_of_every_protection_has_no_decision() -> None:
    with pytest.raises(ImproperlyConfigured, match="PROTECT"):
        django.decision_of(HttpRequest())


def behind_a_proxy(request: HttpRequest) -> str:
    return request.headers["X-Real-IP"]


@pytest.mark.parametrize("hook", [behind_a_proxy, f"{__name__}.behind_a_proxy"])
def test_the_caller_behind_a_proxy_is_found_by_a_function_of_yours(peer: Peer, hook: Any) -> None:
    with settings(peer, client_ip=hook):
        call_django("GET", "/v2/read", {**BEARER, "X-Real-IP": "203.0.113.9"})

    assert peer.asked[0].body["client_ip"] == "203.0.113.9"


def test_a_path_is_sent_as_it_is_routed_and_without_its_query(peer: Peer) -> None:
    with settings(peer, protect=["/"]):
        call_django("GET", "/v2/read?key=x", BEARER)

    assert peer.asked[0].body["resource"] == "/v2/read"


@pytest.mark.parametrize(
    "options", [{"gateway": "http://127.0.0.1"}, {"gateway_url": "gateway"}, {"on_unavailable": "perhaps"}]
)
def test_settings_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with django_settings(**options), pytest.raises(ImproperlyConfigured, match="KEYSTEAD"):
        django.keystead()


@pytest.mark.parametrize("protect", [["v2"], ["/loop", "v2/"], "/v2"])
def test_a_prefix_that_would_protect_nothing_is_refused_at_the_start(peer: Peer, protect: Any) -> None:
    with settings(peer, protect=protect), pytest.raises(ImproperlyConfigured, match=r"KEYSTEAD\['PROTECT'\].*slash"):
        call_django("GET", "/v2/read")
    assert peer.asked == []


def test_drf_may_look_for_a_key_among_other_credentials(peer: Peer) -> None:
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/mixed").status == 401
        assert peer.asked == []
        assert call_django("GET", "/drf/mixed", BEARER).body == {"key": "90"}


def test_drf_leaves_other_credentials_to_those_who_know_them(peer: Peer) -> None:
    dana = {"Authorization": "Basic ZGFuYTp4"}
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/shared", dana).body == {"user": "dana"}
        assert peer.asked == []
        assert call_django("GET", "/drf/shared", BEARER).body == {"user": "90"}
        assert call_django("GET", "/drf/shared", {**dana, "X-API-Key": KEY}).body == {"user": "90"}
    assert [asked.body["principal"]["value"] for asked in peer.asked] == [KEY, KEY]


DENIED = (200, BLOCKED | {"reason": "permission_denied"})
NONE: list[str] = []
READ, WRITE = ["routes:read"], ["routes:write"]


@pytest.mark.parametrize(
    ("answers", "status", "asked"),
    [
        ([(200, ALLOWED), (200, ALLOWED)], 200, [NONE, READ]),
        ([(200, ALLOWED), DENIED, (200, ALLOWED)], 200, [NONE, READ, WRITE]),
        ([(200, ALLOWED), DENIED, DENIED], 403, [NONE, READ, WRITE]),
    ],
    ids=["the first", "the second", "neither"],
)
def test_drf_is_satisfied_with_either_of_two_permissions(
    peer: Peer, answers: list[Any], status: int, asked: list[list[str]]
) -> None:
    peer.will_answer(*answers)
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/mixed", BEARER).status == status
    assert [each.body["required_permissions"] for each in peer.asked] == asked


def test_drf_asks_once_for_both_of_two_permissions(peer: Peer) -> None:
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/both", BEARER).status == 200
        peer.always = DENIED
        assert call_django("GET", "/drf/both", BEARER).status == 403
    assert [each.body["required_permissions"] for each in peer.asked] == [[*READ, *WRITE]] * 2


def test_drf_without_a_permission_class_still_wants_a_key(peer: Peer) -> None:
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/open").status == 401
        assert call_django("GET", "/drf/open", BEARER).status == 200


def test_drf_asks_once_for_all_that_the_view_requires(peer: Peer) -> None:
    with settings(peer, protect=[]):
        assert call_django("GET", "/drf/routes", BEARER).status == 200

    assert [asked.body["required_permissions"] for asked in peer.asked] == [["routes:read"]]
