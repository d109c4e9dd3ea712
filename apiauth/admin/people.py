"""Staff and their groups: nobody is deleted, since the log names them; they are made inactive."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

if TYPE_CHECKING:
    BaseUserAdmin = UserAdmin[User]
else:
    BaseUserAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class StaffAdmin(BaseUserAdmin):
    """People who may enter the admin."""

    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser", "last_login")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class StaffGroupAdmin(GroupAdmin):
    """What groups of staff may do."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
