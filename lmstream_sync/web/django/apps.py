"""The Django app: `INSTALLED_APPS = ["lmstream_sync.web.django"]`."""

from __future__ import annotations

from django.apps import AppConfig

from lmstream_sync.web.django.connections import install

__all__ = ["LMStreamConfig"]


class LMStreamConfig(AppConfig):
    """Has no models; it sees to the database connections of worker threads."""

    name = "lmstream_sync.web.django"
    label = "lmstream_sync"
    verbose_name = "lmstream_sync"

    def ready(self) -> None:
        """Called by Django once, when all apps are loaded."""
        install()
