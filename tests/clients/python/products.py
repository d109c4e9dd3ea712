"""Products, one for each adapter, that all do the same: read routes, write routes, name the key."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from fastapi import Depends, FastAPI
from keystead_client import AsyncKeystead, Decision, django, starlette
from keystead_client.fastapi import KeyRequired
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.clients.python.conftest import run

MIDDLEWARE = ("keystead_client.django.KeysteadMiddleware",)


@dataclass(frozen=True)
class Answer:
    """What the product answered its caller."""

    status: int
    headers: dict[str, str]
    body: Any


Call = Callable[..., Answer]


def django_settings(*, middleware: tuple[str, ...] = (), **options: Any) -> override_settings:
    """Be a Django product until the block ends. Options are named as the client's are."""
    given = {name.upper(): value for name, value in options.items()}
    urls = "tests.clients.python.django_product"
    return override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware, KEYSTEAD=given, ALLOWED_HOSTS=["*"])


def answer_of(response: HttpResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.items()}
    return Answer(response.status_code, headers, json.loads(response.content))


def call_django(method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    return answer_of(Client().generic(method, path, headers=headers))


def call_django_in_loop(method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    async def ask() -> Answer:
        response = await AsyncClient().generic(method, path, headers=headers)
        await django.async_keystead().aclose()
        return answer_of(response)

    return run(ask())


@contextmanager
def django_product(path: str, in_loop: bool, middleware: tuple[str, ...], options: dict[str, Any]) -> Iterator[Call]:
    ask = call_django_in_loop if in_loop else call_django
    with django_settings(middleware=middleware, **options):
        yield lambda method="GET", headers=None: ask(method, path, headers)


@contextmanager
def asgi_product(build: Callable[[AsyncKeystead], Any], options: dict[str, Any]) -> Iterator[Call]:
    async def ask(method: str, headers: dict[str, str] | None) -> Answer:
        async with AsyncKeystead(**options) as keystead:
            transport = httpx.ASGITransport(app=build(keystead))
            async with httpx.AsyncClient(transport=transport, base_url="http://product.test") as client:
                response = await client.request(method, "/v2/routes", headers=headers)
                body = response.json()
                return Answer(response.status_code, dict(response.headers), body.get("detail", body))

    yield lambda method="GET", headers=None: run(ask(method, headers))


def fastapi_app(keystead: AsyncKeystead) -> FastAPI:
    app = FastAPI()
    app.state.keystead = keystead

    @app.get("/v2/routes")
    async def read(decision: Decision = Depends(KeyRequired("routes:read"))) -> dict[str, Any]:  # noqa: B008  # the framework's own way
        return {"key": decision.identity.key_name if decision.identity else None}

    @app.post("/v2/routes")
    def write(decision: Decision = Depends(KeyRequired("routes:write"))) -> dict[str, Any]:  # noqa: B008  # the framework's own way
        return {"key": decision.identity.key_name if decision.identity else None}

    return app


def starlette_app(keystead: AsyncKeystead) -> Starlette:
    def named(request: Request) -> JSONResponse:
        identity = request.state.keystead.identity
        return JSONResponse({"key": identity.key_name if identity else None})

    @starlette.requires("routes:read")
    async def read(request: Request) -> JSONResponse:
        return named(request)

    @starlette.requires("routes:write")
    def write(request: Request) -> JSONResponse:
        return named(request)

    app = Starlette(routes=[Route("/v2/routes", read, methods=["GET"]), Route("/v2/routes", write, methods=["POST"])])
    app.state.keystead = keystead
    return app


PRODUCTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "django decorator": lambda options: django_product("/v2/routes", False, (), options),
    "django decorator in a loop": lambda options: django_product("/loop/routes", True, (), options),
    "drf": lambda options: django_product("/drf/routes", False, (), options),
    "starlette": lambda options: asgi_product(starlette_app, options),
    "fastapi": lambda options: asgi_product(fastapi_app, options),
}
