"""Registers the portal with Django, for its templates and filters."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The hosted pages; it has no tables of its own."""

    name = "portal"
    verbose_name = "Portal"
