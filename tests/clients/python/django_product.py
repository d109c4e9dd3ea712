"""A product in Django: plain views, views in a loop, and views of REST framework."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from keystead_client import drf
from keystead_client.django import decision_of, requires
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def name_of(request: HttpRequest) -> JsonResponse:
    identity = decision_of(request).identity
    return JsonResponse({"key": identity.key_name if identity else None})


@requires("routes:read")
def read(request: HttpRequest) -> JsonResponse:
    return name_of(request)


@requires("routes:write")
def write(request: HttpRequest) -> JsonResponse:
    return name_of(request)


@requires("routes:read")
async def read_in_loop(request: HttpRequest) -> JsonResponse:
    return name_of(request)


@requires("routes:write")
async def write_in_loop(request: HttpRequest) -> JsonResponse:
    return name_of(request)


@csrf_exempt  # an API: its callers bring a key, no cookie that a form of another site could use
def routes(request: HttpRequest) -> Any:
    return write(request) if request.method == "POST" else read(request)


@csrf_exempt  # an API: its callers bring a key, no cookie that a form of another site could use
async def routes_in_loop(request: HttpRequest) -> Any:
    return await (write_in_loop(request) if request.method == "POST" else read_in_loop(request))


class Routes(APIView):
    authentication_classes = (drf.KeyAuthentication,)

    def get_permissions(self) -> list[Any]:
        return [drf.requires("routes:write" if self.request.method == "POST" else "routes:read")()]

    def get(self, request: Request) -> Response:
        return Response({"key": request.user.identity.key_name})

    post = get


class Optional(drf.KeyAuthentication):
    is_optional = True


class Mixed(APIView):
    authentication_classes = (Optional,)
    permission_classes = (drf.requires("routes:read") | drf.requires("routes:write"),)

    def get(self, request: Request) -> Response:
        return Response({"key": request.user.pk})


class Both(Mixed):
    permission_classes = (drf.requires("routes:read") & drf.requires("routes:write"),)


class Password(BasicAuthentication):
    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> tuple[User, None]:
        return User(username=userid), None


class Shared(APIView):
    authentication_classes = (Optional, Password)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"user": getattr(request.user, "username", request.user.pk)})


class Open(Routes):
    permission_classes = (AllowAny,)

    def get_permissions(self) -> list[Any]:
        return [AllowAny()]


def anybody(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"open": True})


urlpatterns = [
    path("v2/routes", routes),
    path("v2/read", read),
    path("v2/no-permission", name_of),
    path("loop/routes", routes_in_loop),
    path("loop/read", read_in_loop),
    path("drf/routes", Routes.as_view()),
    path("drf/mixed", Mixed.as_view()),
    path("drf/both", Both.as_view()),
    path("drf/shared", Shared.as_view()),
    path("drf/open", Open.as_view()),
    path("v20", anybody),
    path("anybody", anybody),
]
