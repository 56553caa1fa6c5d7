"""`ScriptedLM`: what the pytest fixture `scripted_lm` gives: a model in use, and its next answers."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, cast

from lmstream_sync.adapters import Adapter, ChatAdapter
from lmstream_sync.callbacks import BaseCallback
from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm import LM
from lmstream_sync.settings import settings
from lmstream_sync.signatures import InputField, OutputField, Signature
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.testing.reply import Reply, Request
from lmstream_sync.testing.server import ScriptedServer

__all__ = ["ScriptedLM"]


class ScriptedLM:
    """The model of a test, served over real HTTP: say what it answers, then run the program.

    Answers are given in the order in which they were said; the last repeats. No retries, no
    cache: a failure reaches the program at once.

    Args:
        server: what serves it; its script is replaced by this.

    Attributes:
        server: the server, with all its counters.
        lm: the model, which the fixture has made the model of the test.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self._adapter = _AdapterInUse()
        self._answers: list[Reply | dict[str, Any]] = []
        self._given = 0
        self._pause = 0.0
        self._lock = threading.Lock()  # guards the three above, which the server's thread uses too
        self.lm: LM = server.lm(num_retries=0, callbacks=[self._adapter])
        server.replies = self._answer

    def reply(self, reply: str | Reply | None = None, /, **fields: Any) -> None:
        """Say the next answer.

        Args:
            reply: the text as the model sends it, or a `Reply` for cuts, pauses and faults.
            **fields: or: the values of output fields, `answer="42"`, written as the adapter
                in use asks the model to write them.

        Raises:
            ConfigurationError: neither was given, or both.
        """
        if (reply is None) == (not fields):
            raise ConfigurationError('say either the whole text, reply("..."), or fields, reply(answer="42")')
        answer = Reply(reply) if isinstance(reply, str) else reply
        with self._lock:
            self._answers.append(fields if answer is None else answer)

    def fail(self, status: int = 500, *, message: str | None = None, retry_after: float | None = None) -> None:
        """Let the next request be refused.

        Args:
            status: the HTTP status: 401, 429, 500...
            message: what the provider says; `None`: what OpenAI would say.
            retry_after: seconds, for the header of that name.
        """
        body = None if message is None else {"error": {"message": message, "type": "error", "code": None}}
        self.reply(Reply(status=status, body=body, retry_after=retry_after))

    def pause(self, seconds: float) -> None:
        """From now on, wait so many seconds before the first piece of each answer."""
        with self._lock:
            self._pause = seconds

    @property
    def calls(self) -> list[Request]:
        """What the model was asked, in order: `calls[0].body["messages"]`, `calls[0].prompt`."""
        return self.server.requests

    def _answer(self, request: dict[str, Any]) -> Reply:
        with self._lock:
            if not self._answers:
                raise ConfigurationError('nothing was said; call scripted_lm.reply(answer="...") first')
            answer = self._answers[min(self._given, len(self._answers) - 1)]
            self._given += 1
            pause = self._pause
        reply = answer if isinstance(answer, Reply) else Reply(_written(self._adapter.adapter, answer))
        return dataclasses.replace(reply, pauses={0: pause, **reply.pauses}) if pause else reply


class _AdapterInUse(BaseCallback):
    """Sees which adapter is in force where the model is asked: the server's thread cannot."""

    def __init__(self) -> None:
        self.adapter: Adapter = ChatAdapter()

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.adapter = settings.adapter or ChatAdapter()


def _written(adapter: Adapter, values: dict[str, Any]) -> str:
    fields: dict[str, Any] = {"request": (str, InputField())}
    fields |= {name: (type(value), OutputField()) for name, value in values.items()}
    # To type checkers a call of `Signature` gives an instance.
    return adapter.render(cast(SignatureMeta, Signature(fields)), values)
