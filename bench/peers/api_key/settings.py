"""djangorestframework-api-key as its user guide installs it."""

from bench.peers import project
from bench.peers.project import *  # noqa: F403  # a project's settings, and what stands below

INSTALLED_APPS = [*project.INSTALLED_APPS, "rest_framework", "rest_framework_api_key"]
ROOT_URLCONF = "bench.peers.api_key.urls"
