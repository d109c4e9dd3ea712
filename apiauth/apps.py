"""Registers the product with Django."""

from django.apps import AppConfig


class ApiAuthConfig(AppConfig):
    """Keystead's own tables and admin."""

    name = "apiauth"
    verbose_name = "Keystead"

    def ready(self) -> None:
        """Register the checks of unsafe settings."""
        from apiauth import checks  # noqa: F401  # importing it registers the checks
