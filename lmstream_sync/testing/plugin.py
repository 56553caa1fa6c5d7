"""The pytest plugin: the fixture `scripted_lm`. Loaded in every run of pytest, so it imports nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lmstream_sync.testing.scripted_lm import ScriptedLM

__all__ = ["scripted_lm"]


@pytest.fixture
def scripted_lm() -> Iterator[ScriptedLM]:
    """A model that says what the test tells it to, and is the model in use during the test.

        def test_my_view(client, scripted_lm):
            scripted_lm.reply(answer="42")
            events = read_sse(client.get("/ask?question=six+times+seven").data)
            assert events[-1] == {"prediction": {"answer": "42"}}

    See `lmstream_sync.testing.ScriptedLM`.
    """
    from lmstream_sync.settings import settings
    from lmstream_sync.testing.scripted_lm import ScriptedLM
    from lmstream_sync.testing.server import ScriptedServer

    with ScriptedServer() as server:
        scripted = ScriptedLM(server)
        before = settings.process_wide("lm")
        # In the context, where it wins over what the code under test configures; and for
        # the process, because a view under test may run in threads of a server.
        settings.configure(lm=scripted.lm)
        try:
            with settings.context(lm=scripted.lm):
                yield scripted
        finally:
            settings.configure(lm=before)
