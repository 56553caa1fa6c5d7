"""The engine that speaks OpenAI's chat completions itself, over aiohttp; litellm is not imported.

This is its door, which imports nothing heavy. Behind it: `direct_calls` (one request),
`endpoints` (who speaks the format, and where), `direct_request` (what is sent), `direct_http`
(connections), `direct_body` and `sse_decoder` (bytes to events), `direct_chunks` and
`json_decoding` (events to deltas), `failures` (errors, the same as the litellm engine's),
`direct_failures` (what becomes of them here) and `direct_unreached` (endpoints that were not reached).
`direct_choice` says when it serves.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from lmstream_sync.lm.engine import Delta, LMRequest, Price, Reply
from lmstream_sync.lm.litellm_engine import price_in_table, raw_chunks
from lmstream_sync.lm.once import Once

if TYPE_CHECKING:
    from lmstream_sync.lm.direct_calls import DirectCalls

__all__ = ["DirectEngine"]

_CALLS = "lmstream_sync.lm.direct_calls"


@cache
def _calls() -> DirectCalls:
    found: DirectCalls = importlib.import_module(_CALLS).calls
    return found


# aiohttp comes with it: on first use, never with our own import.
_ready = Once(lambda: _calls().get_ready())


class DirectEngine:
    """Speaks to endpoints of the chat-completions wire format. One serves all LMs of a process."""

    name = "direct"

    async def prepare(self, *, raw: bool = False) -> None:
        """Import what the first request needs, in a worker, once a process; for `raw` litellm too."""
        if not _ready.done:
            await _ready.wait()
        if raw:
            await raw_chunks()

    async def connect(self, request: LMRequest) -> None:
        """Open the connection that the next such request will use; whatever fails is left to that request."""
        await _calls().connect(request)

    def stream(self, request: LMRequest) -> AsyncIterator[list[Delta]]:
        """Send a request and give its pieces; see `Engine.stream`."""
        return _calls().stream(request)

    async def complete(self, request: LMRequest) -> Reply:
        """Send a request and wait for the whole reply.

        Raises:
            LMError: the request failed.
        """
        reply = await _calls().complete(request)
        reply.price = self.price(request.model, reply.usage)
        return reply

    def price(self, model: str, usage: dict[str, Any]) -> Price:
        """What the provider said, else what looks into litellm's table when somebody asks."""
        told = usage.pop("cost", None)
        if told is not None:
            return float(told)
        if not usage:
            return None
        counts = (usage["prompt_tokens"], usage["completion_tokens"], usage.get("cached_tokens", 0))
        return partial(price_in_table, model, *counts)
