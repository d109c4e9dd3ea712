"""One view for whoever has a token, as in the documentation."""

from django.urls import path
from knox.auth import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.peers.ready import ready


class OrdersView(APIView):
    """What a token opens."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"allowed": True})


urlpatterns = [path("ready", ready), path("v1/orders", OrdersView.as_view())]
