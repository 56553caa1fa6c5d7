"""OpenAI's chat-completions chunks: whoever can read a model there reads a program here.

Sources: the types `ChatCompletionChunk` and `CompletionUsage` of the `openai` SDK, and its
`_streaming.py` for errors (a chunk with a key `error` is raised as an `APIError`).
`reasoning_content` is DeepSeek's word, and by now that of many others, for a model's reasoning.

There is no place for status messages, tools and a program's own events: they are left out, and so is an
error that `run_many` or `merge` yields.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from lmstream_sync.errors import StreamRestarted
from lmstream_sync.events import StreamRestart
from lmstream_sync.streaming.event_json import error_data
from lmstream_sync.streaming.format import Source
from lmstream_sync.streaming.sse import DONE, HEARTBEAT, sse_json
from lmstream_sync.web.formats.by_field import FieldFormat, Path, Run
from lmstream_sync.web.formats.one_text import OneText
from lmstream_sync.web.formats.token_counts import token_counts

__all__ = ["OpenAIFormat"]


class OpenAIFormat(FieldFormat):
    """Chat-completions chunks: `content`, `reasoning_content`, a finish reason, usage, `[DONE]`.

    Args:
        field: the field that is the content; without it every field that is not reasoning, one
            after the other with a blank line between them.
        model: the name that the chunks say; the real one is nobody's business.
        usage: send the token counts, where they are known, in a last chunk whose `choices` are empty.

    A field that streams in items or values comes whole, at the end.
    """

    name = "openai"

    def __init__(self, *, field: str | None = None, model: str = "lmstream_sync", usage: bool = True) -> None:
        super().__init__(field)
        self._usage = usage
        # Not the stream's own id, with which it could be cancelled.
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._content, self._reasoning = OneText(), OneText()
        self._failed = False

    def begin(self, source: Source) -> str:
        """A chunk with the role."""
        super().begin(source)
        return self._chunk({"role": "assistant", "content": ""})

    def _concerns(self, run: Run) -> bool:
        return run.reasoning or super()._concerns(run)

    def _text(self, run: Run, text: str) -> str:
        return self._delta(run, self._channel(run).piece(run, text))

    def _end(self, run: Run) -> str:
        return self._delta(run, self._channel(run).end(run))

    def _restart(self, restart: StreamRestart, void: list[Run], path: Path) -> str:
        if [run for run in void if not self._channel(run).take_back(run)]:
            raise StreamRestarted("the text began again after some of it was sent; the format sse can say so")
        return ""

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """What is left of the text, and a chunk that the SDK raises as an `APIError`."""
        rest = self._all_over(failed=True)
        self._failed = True
        told = error_data(error, expose)["error"]
        return rest + sse_json({"error": {**told, "param": None, "code": told["type"]}})

    def heartbeat(self) -> str:
        """A comment."""
        return HEARTBEAT

    def end(self) -> str:
        """What is left of the text, the finish reason, the usage, `[DONE]`."""
        if self._failed:
            return DONE
        rest = self._all_over(failed=False)
        return rest + self._chunk({}, finish_reason="stop") + self._counted() + DONE

    def _channel(self, run: Run) -> OneText:
        return self._reasoning if run.reasoning else self._content

    def _delta(self, run: Run, text: str) -> str:
        return self._chunk({"reasoning_content" if run.reasoning else "content": text}) if text else ""

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse_json({**self._head, "choices": [choice]})

    def _counted(self) -> str:
        counts = token_counts(self._source) if self._usage else {}
        if not counts:
            return ""
        usage = {kind: counts.get(kind, 0) for kind in ("prompt_tokens", "completion_tokens", "total_tokens")}
        details = {
            "prompt_tokens_details": {"cached_tokens": counts.get("cached_tokens", 0)},
            "completion_tokens_details": {"reasoning_tokens": counts.get("reasoning_tokens", 0)},
        }
        return sse_json({**self._head, "choices": [], "usage": {**usage, **details}})
