"""Django REST framework as its documentation installs it, with nothing added."""

from bench.peers import project
from bench.peers.project import *  # noqa: F403  # a project's settings, and what stands below

INSTALLED_APPS = [*project.INSTALLED_APPS, "rest_framework"]
ROOT_URLCONF = "bench.peers.unchecked.urls"
