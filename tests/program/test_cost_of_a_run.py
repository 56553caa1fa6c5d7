"""What a run costs, counted and not timed: calls of functions, coroutines that stay open while a model thinks."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import lmstream_sync as lms
from lmstream_sync.lm import LMRequestLRUCache
from lmstream_sync.lm.engine import Choice, Reply
from lmstream_sync.testing import ScriptedServer

from .conftest import Hooks, reply

#: Calls of Python functions in a run that the cache answers: 133 of CPython 3.11 when this was written.
MOST_CALLS = 150


def calls_in(work: Any) -> int:
    """How many Python functions are called in this thread."""
    count = 0

    def saw(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(saw)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_a_run_that_the_cache_answers_calls_few_functions() -> None:
    with (
        ScriptedServer(reply(answer="yes")) as server,
        lms.context(lm=server.lm(cache=True), cache=LMRequestLRUCache()),
    ):
        ask = lms.Predict("question -> answer")
        for _ in range(2):
            ask(question="Why?")
        assert calls_in(lambda: ask(question="Why?")) <= MOST_CALLS
        assert len(server.requests) == 1


def test_a_run_that_the_cache_answers_gives_values_of_its_own() -> None:
    with (
        ScriptedServer(reply(things='["a"]')) as server,
        lms.context(lm=server.lm(cache=True), cache=LMRequestLRUCache()),
    ):
        ask = lms.Predict("question -> things: list[str]")
        ask(question="Which?").things.append("b")
        assert ask(question="Which?").things == ["a"]
        assert len(server.requests) == 1


class Thinks:
    """A model that waits to be told to answer."""

    model = "m"

    def __init__(self) -> None:
        self.answers = False

    async def arequest(self, messages: Any, options: Any = None, tap: Any = None) -> Reply:
        while not self.answers:
            await asyncio.sleep(0)
        return Reply([Choice(reply(answer="yes"))])


def test_between_a_program_and_its_model_are_two_coroutines() -> None:
    """Every open stream holds them, and the garbage collector goes through them all."""
    model: Any = Thinks()
    with lms.context(lm=model):
        running = lms.Predict("question -> answer").acall(question="Why?")
        running.send(None)
        names = []
        waits: Any = running
        while inspect.iscoroutine(waits):
            names.append(waits.__qualname__)
            waits = waits.cr_await
        model.answers = True
        try:
            running.send(None)
        except StopIteration as stop:
            assert stop.value.answer == "yes"
    assert names[: names.index("Thinks.arequest")] == ["Module.acall", "Predict.aforward"]


def test_a_hook_that_calls_the_module_it_watches_is_not_told_of_that() -> None:
    class Twice(lms.Module):
        def forward(self, depth: int) -> int:
            return depth

    class Calls(Hooks):
        def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
            super().on_module_end(call_id, outputs, exception)
            module(1)

    module, hooks = Twice(), Calls()
    with lms.context(callbacks=[hooks]):
        module(0)
    assert [each[0] for each in hooks.seen] == ["start", "end"]
