"""The model that the examples ask: a real one where there is a key, otherwise a scripted one.

Not an example itself. Your own program says `lms.LM("openai/gpt-4o-mini")` and no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lmstream_sync as lms
from lmstream_sync.signatures import ensure_signature
from lmstream_sync.testing import Reply, ScriptedServer


@contextmanager
def model(
    *replies: str | dict[str, str], to: dict[str, dict[str, str]] | None = None, **options: Any
) -> Iterator[lms.LM]:
    """An LM: OpenAI's where `OPENAI_API_KEY` is set, otherwise one that recites `replies` in their order.

    A dict is a reply in fields, a string one as it is. `to` has the replies by a word of the
    prompt instead. `options` go to the LM.
    """
    if os.environ.get("OPENAI_API_KEY"):
        print("(openai/gpt-4o-mini answers)", flush=True)
        yield lms.LM("openai/gpt-4o-mini", **options)
    else:
        print("(no OPENAI_API_KEY is set: a scripted server on this machine answers, over real HTTP)", flush=True)
        script = {word: paced(reply) for word, reply in to.items()} if to else [paced(reply) for reply in replies]
        with ScriptedServer(script) as server:
            yield server.lm(**options)


def paced(reply: str | dict[str, str]) -> Reply:
    """A reply that takes its time."""
    return Reply(as_text(reply), cut=4, delay=0.02)


def as_text(reply: str | dict[str, str]) -> str:
    """The reply as a model writes it: each field after its marker."""
    if isinstance(reply, str):
        return reply
    return lms.ChatAdapter().render(ensure_signature(f"input -> {', '.join(reply)}"), reply)
