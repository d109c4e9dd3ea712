"""One view behind the permission, as in the user guide."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey

from bench.peers.ready import ready


class OrdersView(APIView):
    """What a key opens."""

    permission_classes = [HasAPIKey]

    def get(self, request: Request) -> Response:
        return Response({"allowed": True})


urlpatterns = [path("ready", ready), path("v1/orders", OrdersView.as_view())]
