"""What a scripted model says, and how it misbehaves: plain values for `ScriptedServer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Replies", "Reply", "as_chooser"]


@dataclass
class Reply:
    """One scripted reply, or one scripted fault.

    Attributes:
        text: the whole reply.
        pieces: the reply as the provider cuts it; instead of `text`.
        cut: characters of each piece that `text` is cut into; `None` for words.
        delay: seconds between two pieces.
        pauses: piece number → seconds before it is sent.
        stall_after: number of pieces after which nothing comes until `server.release()`.
        reasoning: the model's own reasoning, sent before the text.
        tool_calls: tool calls in the wire format's words.
        usage: token counts; counted by words where it is left out.
        finish_reason: `None` leaves it out.
        done: whether `data: [DONE]` is sent.
        drop_after: number of pieces after which the connection breaks; 0 for at once.
        status: an HTTP status other than 200, answered with `body`.
        retry_after: seconds for the `Retry-After` header.
        body: what is answered, as JSON, with `status`; a string is sent as it is.
        raw: bytes sent as they are, one write each, in place of a streamed reply.
        content_type: of a streamed reply.
        whole: answer with a whole response though a stream was asked for.
        error_after: number of pieces after which an error object comes inside the stream.
        echo_usage: send the usage chunk though it was not asked for.
    """

    text: str = ""
    pieces: Sequence[str] | None = None
    cut: int | None = None
    delay: float = 0.0
    pauses: dict[int, float] = field(default_factory=dict)
    stall_after: int | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    finish_reason: str | None = "stop"
    done: bool = True
    drop_after: int | None = None
    status: int = 200
    retry_after: float | None = None
    body: Any = None
    raw: Sequence[bytes] | None = None
    content_type: str = "text/event-stream"
    whole: bool = False
    error_after: int | None = None

    def cut_pieces(self) -> list[str]:
        """The text, as it is cut."""
        if self.pieces is not None:
            return list(self.pieces)
        if self.cut is not None:
            return [self.text[i : i + self.cut] for i in range(0, len(self.text), self.cut)]
        pieces = self.text.split(" ")
        return [piece if i == 0 else " " + piece for i, piece in enumerate(pieces)]

    def whole_text(self) -> str:
        """The text in one piece."""
        return self.text if self.pieces is None else "".join(self.pieces)
