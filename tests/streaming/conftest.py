"""A scripted model over real HTTP for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a server with the given replies and makes it the model of this test."""
    with ExitStack() as stack:

        def start(replies: Any, **lm_options: Any) -> ScriptedServer:
            server = stack.enter_context(ScriptedServer(replies))
            stack.enter_context(lms.context(lm=server.lm(**lm_options)))
            return server

        yield start
