"""The pytest fixture `scripted_lm`: a scripted model for one test, over real HTTP.

Registered as a pytest plugin by the package; it imports the library when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lmstream_sync.testing.server import Recorded, ScriptedServer

__all__ = ["ScriptedLM", "scripted_lm"]


class ScriptedLM:
    """What a test tells its model to say. Replies come in the order in which they are scripted.

    The last one comes again and again; a test that scripts none gets an error from the model.
    """

    def __init__(self) -> None:
        from lmstream_sync.testing.replies import Reply

        self._script: list[Reply] = []
        self._pause = 0.0
        self._nothing = Reply(status=400, body={"error": {"message": "nothing is scripted: scripted_lm.reply(...)"}})
        self.server: ScriptedServer

    def reply(self, text: str | None = None, /, *, cut: int | None = None, **fields: Any) -> None:
        """Script a reply: a text as it is, or output fields, written as the adapter in use expects them.

        Args:
            text: the whole reply.
            cut: characters of each piece it is streamed in; words when left out.
            **fields: output field → value.
        """
        from lmstream_sync.adapters import ChatAdapter
        from lmstream_sync.settings import settings
        from lmstream_sync.signatures import Signature
        from lmstream_sync.testing.replies import Reply

        if text is None:
            signature = Signature("question -> " + ", ".join(fields))
            text = (settings.adapter or ChatAdapter()).render(signature, fields)
        self._script.append(Reply(text, cut=cut, delay=self._pause))

    def fail(self, status: int, *, retry_after: float | None = None, message: str = "scripted failure") -> None:
        """Script a refusal with an HTTP status (401, 429, 500, ...)."""
        from lmstream_sync.testing.replies import Reply

        body = {"error": {"message": message, "type": "scripted"}}
        self._script.append(Reply(status=status, retry_after=retry_after, body=body))

    def pause(self, seconds: float) -> None:
        """Pause that long between the pieces of the replies scripted from here on."""
        self._pause = seconds

    @property
    def calls(self) -> list[Recorded]:
        """The requests that came: `.body`, `.headers`."""
        return self.server.requests

    def _next(self, body: dict[str, Any]) -> Any:
        number = len(self.server.requests) - 1
        return self._script[min(number, len(self._script) - 1)] if self._script else self._nothing


@pytest.fixture
def scripted_lm() -> Iterator[ScriptedLM]:
    """A model of this test alone, in force as `lms.settings.lm` for its duration."""
    from lmstream_sync.settings import settings
    from lmstream_sync.testing.server import ScriptedServer

    scripted = ScriptedLM()
    with ScriptedServer(scripted._next) as server:
        scripted.server = server
        before = settings.process_wide("lm")
        # For the whole process: a view under test may run in threads of a server.
        settings.configure(lm=server.lm(num_retries=0))
        try:
            yield scripted
        finally:
            settings.configure(lm=before)
