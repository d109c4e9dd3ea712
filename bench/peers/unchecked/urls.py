"""One view that checks nothing: what the framework costs by itself."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.peers.ready import ready


class OrdersView(APIView):
    """What is open to everybody."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        return Response({"allowed": True})


urlpatterns = [path("ready", ready), path("v1/orders", OrdersView.as_view())]
