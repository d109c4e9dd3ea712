"""django-rest-knox as its documentation installs it: its authentication is the default one."""

from bench.peers import project
from bench.peers.project import *  # noqa: F403  # a project's settings, and what stands below

INSTALLED_APPS = [*project.INSTALLED_APPS, "rest_framework", "knox"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ("knox.auth.TokenAuthentication",)}
ROOT_URLCONF = "bench.peers.rest_knox.urls"
