"""Every address that the web process answers, by room."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("apiauth.http.urls")),
    path("", include("portal.urls")),
]
