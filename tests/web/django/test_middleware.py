"""Errors of the library that a view raises, as `LMStreamErrorsMiddleware` answers them."""

from __future__ import annotations

import pytest

from lmstream_sync.testing import ScriptedServer
from tests.web.django.client import Site

each_view = pytest.mark.parametrize("view", ["raising", "araising"])


@each_view
def test_an_error_of_the_library_has_its_status(site: Site, model: ScriptedServer, view: str) -> None:
    with site.get(view, error="library") as reading:
        assert reading.status == 429
        assert reading.headers["Content-Type"] == "application/json"
        assert reading.headers["Retry-After"] == "8"
        assert reading.json()["error"]["type"] == "RateLimitError"
        assert b"sk-secret" not in reading.got


@each_view
def test_another_error_goes_its_way(site: Site, model: ScriptedServer, view: str) -> None:
    with site.get(view, error="other") as reading:
        assert reading.status == 500
        assert reading.headers["Content-Type"].startswith("text/html")
