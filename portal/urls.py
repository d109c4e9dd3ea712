"""Every address of the portal; mounted at the root."""

from django.urls import path

from portal.views import activity, compliance, entry, key_changes, key_edit, keys, logs, overview

app_name = "portal"

urlpatterns = [
    path("vanity/api-auth", entry.enter, name="enter"),
    path("vanity/api-auth/keys", entry.page, {"name": "keys"}, name="enter_keys"),
    path("vanity/api-auth/logs", entry.page, {"name": "logs"}, name="enter_logs"),
    path("portal/expired", entry.expired, name="expired"),
    path("portal/leave", entry.leave, name="leave"),
    path("portal/", overview.overview, name="overview"),
    path("portal/keys", keys.key_list, name="keys"),
    path("portal/keys/new", keys.create, name="key_new"),
    path("portal/keys/<str:key_id>", keys.detail, name="key"),
    path("portal/keys/<str:key_id>/edit", key_edit.edit, name="key_edit"),
    path("portal/keys/<str:key_id>/rotate", keys.rotate, name="key_rotate"),
    path("portal/keys/<str:key_id>/revoke", keys.revoke, name="key_revoke"),
    path("portal/keys/<str:key_id>/disable", key_changes.disable, name="key_disable"),
    path("portal/keys/<str:key_id>/enable", key_changes.enable, name="key_enable"),
    path("portal/keys/<str:key_id>/end-overlap", key_changes.end_overlap, name="key_end_overlap"),
    path("portal/keys/<str:key_id>/change-overlap", key_changes.change_overlap, name="key_change_overlap"),
    path("portal/keys/<str:key_id>/undo-revoke", key_changes.undo_revoke, name="key_undo_revoke"),
    path("portal/keys/<str:key_id>/in-force", keys.in_force, name="key_in_force"),
    path("portal/logs", logs.decision_list, name="logs"),
    path("portal/logs/export", logs.export, name="logs_export"),
    path("portal/logs/<str:request_id>", logs.decision, name="decision"),
    path("portal/activity", activity.entry_list, name="activity"),
    path("portal/activity/export", activity.export, name="activity_export"),
    path("portal/compliance", compliance.review, name="compliance"),
    path("portal/compliance/export", compliance.export, name="compliance_export"),
]
