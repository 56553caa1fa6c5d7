"""`Reply`: what a scripted model answers, and how it misbehaves; `Request`: what it was asked.

Plain data; knows nothing of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.testing.gate import Gate

__all__ = ["Reply", "Request", "text_of_content"]

#: A word with the blanks before it: about what a model's token is.
_WORDS = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class Reply:
    """One answer of a scripted model.

        Reply("To get to the other side.", cut=4, delay=0.02)
        Reply(pieces=["[[ ## ans", "wer ## ]]\\nyes"])
        Reply(status=429, retry_after=1)
        Reply("a long answer", drop_after=2)

    A reply goes out in pieces, counted from 0: first those of the reasoning, then those of
    the text, then those of the tool calls. `..._after=n` happens when `n` pieces are out,
    with `0` before the first byte of the response, beyond the last piece before the end of
    the reply. A request that asks for no stream waits at the same places and gets the whole.

    Attributes:
        text: what the model says.
        pieces: the same, cut where you want it.
        cut: characters per piece; without it a piece is a word.
        alternatives: the texts of the further choices when the request has `n > 1`; the
            last one (or `text`) repeats.
        reasoning: sent ahead of the text as `reasoning_content`.
        refusal: sent instead of the text as `refusal`.
        tool_calls: `{"name": ..., "arguments": {...}}` each, or the wire format's own dicts.
        finish_reason: `None`: the reply ends without one. `"stop"` becomes `"tool_calls"`
            where there are some.
        done: `False`: the stream ends without `[DONE]`.
        usage: token counts to report; `True` counts pieces and the prompt's words, `False`
            reports none, though asked.
        delay: seconds between two pieces.
        pauses: piece → seconds, or a `Gate`, to wait before it.
        stall_after: send nothing more until `ScriptedServer.release()`.
        drop_after: close the connection.
        malformed_after: send an event of broken JSON (a whole reply: half of one).
        error_after: send an error object inside the stream, status 200, and end.
        status: any but 200 refuses the request, with `body`.
        body: of a refusal, or of the error object: a dict sent as JSON, or text as it is;
            `None`: what OpenAI would say.
        retry_after: the header of that name: seconds, or a date as text.
        headers: further ones.
        content_type: instead of the right one.
        whole: answer with a whole JSON response though a stream was asked for.
        raw: the bytes of the response's body, in these pieces, instead of all the above; given
            on every path, so that another provider's wire format can be played.
    """

    text: str = ""
    pieces: Sequence[str] | None = None
    cut: int | None = None
    alternatives: Sequence[str] = ()
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = "stop"
    done: bool = True
    usage: Mapping[str, Any] | bool = True
    delay: float = 0.0
    pauses: Mapping[int, float | Gate] = field(default_factory=dict)
    stall_after: int | None = None
    drop_after: int | None = None
    malformed_after: int | None = None
    error_after: int | None = None
    status: int = 200
    body: Mapping[str, Any] | str | None = None
    retry_after: float | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    whole: bool = False
    raw: Sequence[bytes] | None = None

    def __post_init__(self) -> None:
        if self.pieces is not None:
            joined = "".join(self.pieces)
            if self.text not in ("", joined):
                raise ConfigurationError("Reply: `text` and `pieces` differ; give one of them")
            object.__setattr__(self, "text", joined)
        if self.cut is not None and self.cut < 1:
            raise ConfigurationError(f"Reply(cut={self.cut}): give a positive number of characters")
        if not 200 <= self.status <= 599:
            raise ConfigurationError(f"Reply(status={self.status}): give an HTTP status from 200 to 599")

    def cut_up(self, text: str) -> list[str]:
        """A text in pieces of this reply's size."""
        if self.cut is not None:
            return [text[at : at + self.cut] for at in range(0, len(text), self.cut)]
        return _WORDS.findall(text)

    def text_of_choice(self, index: int) -> str:
        """The text of one of `n` choices."""
        return [self.text, *self.alternatives][min(index, len(self.alternatives))]

    def pieces_of_choice(self, index: int) -> list[str]:
        """The same in pieces."""
        if self.pieces is not None and not min(index, len(self.alternatives)):
            return list(self.pieces)
        return self.cut_up(self.text_of_choice(index))


@dataclass(frozen=True)
class Request:
    """One request as the server got it.

    Attributes:
        body: the JSON body.
        headers: names in lower case.
        path: such as `/v1/chat/completions`.
    """

    body: dict[str, Any]
    headers: dict[str, str]
    path: str

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        for message in reversed(self.body.get("messages") or []):
            if message.get("role") == "user":
                return text_of_content(message.get("content"))
        return ""

    @property
    def stream(self) -> bool:
        """Whether a streamed reply was asked for."""
        return bool(self.body.get("stream"))


def text_of_content(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of which some are text."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, Mapping))
