"""The settings for whoever reads the code alone, as mypy's Django plug-in does: they want no installation."""

from config import without_installation

with without_installation.settings():
    from config.settings import *  # noqa: F403  # all of them, under their own names
