"""What every test can rely on: no network but loopback, no keys, settings as they were."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest

import lmstream_sync as lms
from lmstream_sync import settings
from lmstream_sync.testing import ScriptedServer

# A proxy of the machine must not stand between the tests and their own servers.
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = "127.0.0.1,localhost"

hypothesis.settings.register_profile("lmstream_sync", database=None, deadline=None, print_blob=True)
hypothesis.settings.load_profile("lmstream_sync")


@pytest.fixture(autouse=True)
def _no_real_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach, or be changed by, a real provider's account."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _settings_as_they_were() -> Iterator[None]:
    """What a test configures for the whole process ends with the test."""
    process = object.__getattribute__(settings, "_process")
    before = dict(process)
    yield
    process.update(before)
    for key in process.keys() - before.keys():
        del process[key]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The cyclic garbage collector off: reference counts alone must do."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a server with the given replies and makes it the model of this test."""
    with ExitStack() as stack:

        def start(replies: Any, **lm_options: Any) -> ScriptedServer:
            server = stack.enter_context(ScriptedServer(replies))
            stack.enter_context(lms.context(lm=server.lm(**lm_options)))
            return server

        yield start
