"""One timer for all that are to look at the clock."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from lmstream_sync.runtime.agenda import Agenda, agenda_of
from tests.runtime.programs import timers_set


class Who:
    """Notes when it was called, and does something then."""

    def __init__(self, do: Callable[[], object] = lambda: None) -> None:
        self.looks: list[float] = []
        self.looked = asyncio.Event()
        self._do = do

    def look(self) -> None:
        self.looks.append(asyncio.get_running_loop().time())
        self.looked.set()
        self._do()


def on_a_loop(test: Callable[[Agenda, float], Any]) -> Any:
    async def run() -> Any:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(test(agenda_of(loop), loop.time()), 10)

    return asyncio.run(run())


def test_each_is_called_once_and_not_before_its_time() -> None:
    async def test(agenda: Agenda, now: float) -> None:
        due = {Who(): now + seconds for seconds in (0.09, 0.0, 0.03, 0.06, -1.0)}
        for who, at in due.items():
            agenda.put(who, at)
        for who in due:
            await who.looked.wait()
        await asyncio.sleep(0.05)
        for who, at in due.items():
            assert len(who.looks) == 1 and who.looks[0] >= at
            assert who not in agenda

    on_a_loop(test)


def test_the_last_time_that_was_put_counts_and_of_put_by_the_first() -> None:
    async def test(agenda: Agenda, now: float) -> None:
        later, sooner, kept, brought_forward, removed, last = (Who() for _ in range(6))
        agenda.put(later, now + 0.01)
        agenda.put(later, now + 0.06)
        agenda.put(sooner, now + 60)
        agenda.put(sooner, now + 0.01)
        agenda.put(kept, now + 0.01)
        agenda.put_by(kept, now + 60)
        agenda.put(brought_forward, now + 60)
        agenda.put_by(brought_forward, now + 0.01)
        agenda.put(removed, now + 0.01)
        agenda.remove(removed)
        agenda.put(last, now + 0.1)
        await last.looked.wait()
        assert later.looks[0] >= now + 0.06
        assert all(now + 0.01 <= who.looks[0] < last.looks[0] for who in (sooner, kept, brought_forward))
        assert removed.looks == []

    on_a_loop(test)


def test_a_thousand_set_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(agenda: Agenda, now: float) -> None:
        timers = timers_set(asyncio.get_running_loop(), monkeypatch)
        for number in range(1000):
            who = Who()
            agenda.put(who, now + 60 + number)
            agenda.put_by(who, now + 60 + number)
            if number % 2:
                agenda.remove(who)
        assert len(timers) == 1

    on_a_loop(test)


def test_who_is_called_may_put_and_remove_others_and_itself() -> None:
    async def test(agenda: Agenda, now: float) -> None:
        again, other, removed = Who(), Who(), Who()

        def once_more() -> None:
            if len(again.looks) == 1:
                agenda.put(again, asyncio.get_running_loop().time())
                agenda.put(other, asyncio.get_running_loop().time() + 0.01)
                agenda.remove(removed)

        again._do = once_more
        for who in (again, removed):
            agenda.put(who, now)
        await other.looked.wait()
        assert (len(again.looks), len(other.looks), len(removed.looks)) == (2, 1, 0)

    on_a_loop(test)


def test_one_that_raises_keeps_no_other_from_being_called() -> None:
    async def test(agenda: Agenda, now: float) -> list[Any]:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        bad = Who(lambda: [][0])
        good, later = Who(), Who()
        for who, at in ((bad, now), (good, now), (later, now + 0.02)):
            agenda.put(who, at)
        await good.looked.wait()
        await later.looked.wait()
        return told

    assert [type(error) for error in on_a_loop(test)] == [IndexError]


def test_neither_who_was_removed_nor_a_loop_that_is_over_is_kept() -> None:
    kept: list[weakref.ref[Any]] = []

    async def test(agenda: Agenda, now: float) -> None:
        who = Who()
        agenda.put(who, now + 1000)
        agenda.remove(who)
        kept.extend([weakref.ref(who), weakref.ref(asyncio.get_running_loop())])

    on_a_loop(test)
    gc.collect()
    assert [each() for each in kept] == [None, None]
