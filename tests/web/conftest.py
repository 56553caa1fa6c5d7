"""What the tests of every door use: a model for the whole process, since servers answer in threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer


@pytest.fixture(scope="session")
def warm() -> None:
    """An engine's first use imports hundreds of modules; no test shall have to wait for that."""
    with ScriptedServer("ready") as server:
        server.lm()("ready?")


@pytest.fixture
def model(warm: None) -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a server with the given replies and makes it the model of the process, without retries."""
    with ExitStack() as stack:

        def start(replies: Any, *, api_key: str | None = None, **lm_options: Any) -> ScriptedServer:
            server = stack.enter_context(ScriptedServer(replies, api_key=api_key))
            lms.configure(lm=server.lm(**{"num_retries": 0, **lm_options}))
            return server

        yield start
