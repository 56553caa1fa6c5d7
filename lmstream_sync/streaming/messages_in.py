"""A model as a program: messages in, text out, without a signature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
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
        prediction._set_cost(reply.price)
        return prediction

    return ask


class _TextTap:
    """Streams the first choice of a reply as the fields `text` and `reasoning`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        # field → the piece that came with a finish reason: it waits, as it is the last one
        # unless more comes all the same. `reasoning` is listed once it began.
        self._held: dict[str, str] = {"text": ""}

    def feed(self, deltas: Sequence[Delta]) -> Awaitable[None] | None:
        """Pieces arrived."""
        events: list[StreamResponse] = []
        for delta in deltas:
            if delta.index != 0:
                continue
            for field, piece in (("reasoning", delta.reasoning), ("text", delta.content)):
                if piece:
                    text = self._held.get(field, "") + piece
                    self._held[field] = text if delta.finish_reason is not None else ""
                    if not self._held[field]:
                        events.append(StreamResponse("self", field, text, False))
        return self._call.send(events) if events else None

    async def end(self, reply: Reply) -> None:
        """The reply ended well: give each field its last chunk."""
        await self._call.put([StreamResponse("self", field, text, True) for field, text in self._held.items()])
