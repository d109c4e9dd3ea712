"""The admin site for support and security staff."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse
from django.urls import reverse


class StaffAdminConfig(AdminConfig):
    """Puts our site in the place of Django's."""

    default_site = "config.staff_admin.StaffSite"


class StaffSite(AdminSite):
    """Django's admin with pages of our own: the decision log, the search for a key, the proof of the activity log."""

    site_header = site_title = "Keystead"
    index_title = "Support and security"
    site_url = None
    enable_nav_sidebar = False  # its room is the lists'
    index_template = "admin/keystead_index.html"

    def get_urls(self) -> list[Any]:
        """Return our pages' addresses and Django's."""
        from apiauth.admin import urls  # models are not loaded yet when this module is

        return [*urls.urlpatterns(self), *super().get_urls()]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Let somebody in who gives the right password, and few tries to others."""
        from apiauth.admin.login import StaffLoginForm  # as above

        self.login_form = StaffLoginForm
        return super().login(request, extra_context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the models that this person may see, and with them the decision log, which is no plain model page."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "apiauth" and request.user.has_perm("apiauth.view_decision"):
                app["models"].append(_decisions())
                app["models"].sort(key=lambda model: str(model["name"]))
        return sorted(apps, key=lambda app: app["app_label"] != "apiauth")


def _decisions() -> dict[str, Any]:
    return {
        "name": "Decisions",
        "object_name": "Decision",
        "perms": {"add": False, "change": False, "delete": False, "view": True},
        "admin_url": reverse("admin:decisions"),
        "add_url": None,
        "view_only": True,
    }
