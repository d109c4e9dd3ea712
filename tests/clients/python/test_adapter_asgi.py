"""FastAPI and Starlette: what their adapters tell the gateway, and what their users see."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from keystead_client import AsyncKeystead, Decision
from keystead_client.fastapi import KeyRequired

from tests.clients.python.conftest import KEY, PATIENT, Peer, run

BEARER = {"Authorization": f"Bearer {KEY}"}


def app_with(guard: KeyRequired) -> FastAPI:
    app = FastAPI()

    @app.get("/v2/{name:path}")
    async def route(decision: Annotated[Decision, Depends(guard)], name: str) -> dict[str, Any]:
        return {"key": decision.identity.key_name if decision.identity else None}

    return app


def ask(
    peer: Peer, path: str, headers: Any = None, caller: tuple[str, int] = ("127.0.0.1", 50_000), **options: Any
) -> httpx.Response:
    async def get() -> httpx.Response:
        async with AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=PATIENT) as keystead:
            app = app_with(KeyRequired("routes:read", keystead=keystead, **options))
            transport = httpx.ASGITransport(app=app, client=caller)
            async with httpx.AsyncClient(transport=transport, base_url="http://product.test") as client:
                return await client.get(path, headers=headers)

    return run(get())


def test_a_client_may_be_given_to_one_route(peer: Peer) -> None:
    assert ask(peer, "/v2/routes", BEARER).json() == {"key": "ci"}


@pytest.mark.parametrize(
    ("path", "resource"),
    [("/v2/a%2Fb", "/v2/a%2Fb"), ("/v2/a?key=x", "/v2/a"), ("/v2/%C3%BC", "/v2/%C3%BC")],
)
def test_the_path_is_sent_as_it_came_and_without_its_query(peer: Peer, path: str, resource: str) -> None:
    ask(peer, path, BEARER)

    assert peer.asked[0].body["resource"] == resource


def test_one_header_with_two_keys_is_refused_without_asking(peer: Peer) -> None:
    answer = ask(peer, "/v2/routes", [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer another")])

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "key_ambiguous")
    assert peer.asked == []


def real_ip(request: Request) -> str:
    return request.headers["x-real-ip"]


@pytest.mark.parametrize(("hook", "ip"), [(None, "127.0.0.1"), (real_ip, "203.0.113.9")])
def test_the_caller_behind_a_proxy_is_found_by_a_function_of_yours(
    peer: Peer, hook: Callable[[Request], str] | None, ip: str
) -> None:
    options = {"client_ip": hook} if hook else {}
    ask(peer, "/v2/routes", {**BEARER, "X-Real-IP": "203.0.113.9", "X-Forwarded-For": "198.51.100.1"}, **options)

    assert peer.asked[0].body["client_ip"] == ip


def test_a_caller_without_an_address_is_told_as_none(peer: Peer) -> None:
    assert ask(peer, "/v2/routes", BEARER, caller=("testclient", 50_000)).status_code == 200
    assert "client_ip" not in peer.asked[0].body


def test_the_api_description_shows_that_a_key_is_wanted() -> None:
    description = app_with(KeyRequired(keystead=AsyncKeystead(gateway_url="http://127.0.0.1:9"))).openapi()

    assert description["components"]["securitySchemes"] == {"Keystead": {"type": "http", "scheme": "bearer"}}
    assert description["paths"]["/v2/{name}"]["get"]["security"] == [{"Keystead": []}]


def test_an_endpoint_with_a_response_of_its_own_can_pass_the_limits_on(peer: Peer) -> None:
    async def get() -> httpx.Response:
        async with AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=PATIENT) as keystead:
            app = FastAPI()

            @app.get("/own")
            async def own(decision: Annotated[Decision, Depends(KeyRequired(keystead=keystead))]) -> JSONResponse:
                return JSONResponse({}, headers=decision.rate_limit_fields)

            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://product") as client:
                return await client.get("/own", headers=BEARER)

    assert run(get()).headers["ratelimit"] == '"60/60s";r=59;t=37'
