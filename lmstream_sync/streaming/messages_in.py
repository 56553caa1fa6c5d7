"""A model as a program: messages in, text out, without a signature."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from lmstream_sync.errors import SignatureError
from lmstream_sync.events import StreamResponse
from lmstream_sync.lm import LM
from lmstream_sync.lm.engine import Delta, Reply
from lmstream_sync.runtime.call import Call, current_call
from lmstream_sync.signatures import Prediction

__all__ = ["lm_program"]


def lm_program(lm: LM, args: tuple[Any, ...], inputs: dict[str, Any]) -> Callable[[], Coroutine[Any, Any, Prediction]]:
    """A coroutine function that asks the model once and streams `text` and `reasoning`.

    Raises:
        SignatureError: neither a prompt nor messages were given, or both.
    """
    options = dict(inputs)
    prompt = args[0] if args else options.pop("prompt", None)
    messages = options.pop("messages", None)
    if len(args) > 1 or (prompt is None) == (messages is None):
        raise SignatureError('give one of the two: stream(lm, "a prompt") or stream(lm, messages=[...])')
    if prompt is not None:
        messages = [{"role": "user", "content": prompt}]

    async def ask() -> Prediction:
        call = current_call.get()
        assert call is not None
        tap = _TextTap(call)
        reply = await lm.arequest(messages, options, tap)
        first = reply.choices[0]
        prediction = Prediction(text=first.text, reasoning=first.reasoning)
        prediction._set_cost(reply.cost)
        return prediction

    return ask


class _TextTap:
    """Streams the first choice of a reply as the fields `text` and `reasoning`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        # field → whether its last chunk went; `reasoning` is listed once it began.
        self._closed = {"text": False}

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Pieces arrived."""
        events: list[StreamResponse] = []
        for delta in deltas:
            if delta.index != 0:
                continue
            over = delta.finish_reason is not None
            if delta.reasoning and not self._closed.get("reasoning"):
                self._closed.setdefault("reasoning", False)
                events.append(self._piece("reasoning", delta.reasoning, over))
            if delta.content and not self._closed["text"]:
                events.append(self._piece("text", delta.content, over))
        if events:
            await self._call.put(events)

    async def end(self, reply: Reply) -> None:
        """The reply ended well: close what is open."""
        left = [self._piece(field, "", True) for field, closed in self._closed.items() if not closed]
        if left:
            await self._call.put(left)

    def _piece(self, field: str, text: str, last: bool) -> StreamResponse:
        self._closed[field] = last
        return StreamResponse("self", field, text, last)
