"""The admin for support and security staff: windows on every table, and a few doors, each of which is a service."""

from apiauth.admin import activity, apps, deployments, keys, limits, people, sessions

__all__ = ["activity", "apps", "deployments", "keys", "limits", "people", "sessions"]
