"""`Wakeup`: waits on a reader's loop that other threads end, told together by one bell."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from lmstream_sync.runtime.wakeups import Wakeup

LONG = 30.0


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often another thread wakes it."""

    woken = 0

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:
        self.woken += 1
        return super().call_soon_threadsafe(*args, **kwargs)


def run(main: Any) -> CountingLoop:
    loop = CountingLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return loop


def in_thread(fn: Any) -> None:
    thread = threading.Thread(target=fn)
    thread.start()
    thread.join()


def test_what_was_posted_before_the_wait_ends_it_at_once() -> None:
    async def main() -> None:
        wakeup = Wakeup()
        in_thread(wakeup)
        assert await wakeup.wait(LONG)

    run(main)


def test_a_slice_that_passes_ends_the_wait_with_false_and_it_may_be_waited_on_again() -> None:
    async def main() -> None:
        wakeup = Wakeup()
        assert not await wakeup.wait(0.01)
        wakeup.renew()
        assert not await wakeup.wait(1.0)  # the slice that all waits of a loop share
        wakeup.renew()
        in_thread(wakeup)
        assert await wakeup.wait(LONG)

    run(main)


class Serving:
    """A loop thread, as far as a wait looks at it."""

    reachable = True


def test_a_wait_for_what_may_still_come_is_not_woken_when_a_slice_has_passed() -> None:
    async def main() -> None:
        thread: Any = Serving()
        patient, other = Wakeup(), Wakeup()
        patient.thread = thread
        waits = [asyncio.ensure_future(each.wait(LONG)) for each in (patient, other)]
        for _ in range(2):  # two slices, as the other wait tells
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            assert waits[1].done() and not waits[1].result() and not waits[0].done()
            other.renew()
            waits[1] = asyncio.ensure_future(other.wait(LONG))
        in_thread(patient)
        assert await waits[0]
        # One whose thread serves no more is told at the next slice.
        patient.renew()
        thread.reachable = False
        assert not await patient.wait(LONG)
        waits[1].cancel()

    run(main)


def test_a_wait_that_was_left_is_forgotten_after_a_slice() -> None:
    async def main() -> None:
        wakeup, other = Wakeup(), Wakeup()
        wakeup.thread = thread = Serving()  # type: ignore[assignment]
        wakeup.begin(LONG).cancel()
        assert wakeup.entered
        assert not await other.wait(LONG)
        assert not wakeup.entered
        gone = weakref.ref(thread)
        del wakeup, thread
        assert gone() is None

    run(main)


def test_many_waits_that_end_while_the_loop_is_busy_are_told_by_one_wake_up() -> None:
    async def main() -> None:
        wakeups = [Wakeup() for _ in range(200)]
        waits = [asyncio.ensure_future(each.wait(LONG)) for each in wakeups]
        await asyncio.sleep(0)
        in_thread(lambda: [each() for each in wakeups])  # this thread's loop waits for it
        assert await asyncio.gather(*waits) == [True] * 200

    assert run(main).woken == 1


def test_posting_again_and_again_before_the_loop_comes_round_wakes_it_once() -> None:
    async def main() -> None:
        wakeup = Wakeup()
        in_thread(lambda: [wakeup() for _ in range(100)])
        assert await wakeup.wait(LONG)

    assert run(main).woken == 1


def test_a_post_for_an_earlier_wait_may_end_a_later_one_early_and_loses_nothing() -> None:
    async def main() -> None:
        wakeup = Wakeup()
        in_thread(wakeup)
        wakeup.renew()  # the bell has not come round
        assert await wakeup.wait(LONG)
        wakeup.renew()
        in_thread(wakeup)
        assert await wakeup.wait(LONG)

    run(main)


@pytest.mark.parametrize("waits", [1, 20])
def test_no_post_is_lost_whoever_is_quicker(waits: int) -> None:
    """Every reader waits for its number to grow; another thread makes it grow and posts, without pause."""
    rounds = 4000 // waits

    async def main() -> None:
        wakeups = [Wakeup() for _ in range(waits)]
        told = [0] * waits
        read = [threading.Semaphore(0) for _ in range(waits)]

        def tell() -> None:
            for _ in range(rounds):
                for place in range(waits):
                    told[place] += 1
                    wakeups[place]()
                for place in range(waits):
                    assert read[place].acquire(timeout=LONG)

        async def reader(place: int) -> None:
            for number in range(1, rounds + 1):
                while told[place] < number:
                    wakeups[place].renew()
                    if told[place] >= number:
                        break
                    assert await wakeups[place].wait(LONG)
                read[place].release()
                await asyncio.sleep(0)

        teller = threading.Thread(target=tell)
        teller.start()
        await asyncio.gather(*map(reader, range(waits)))
        teller.join()

    run(main)


def test_a_post_to_a_loop_that_was_closed_is_nothing() -> None:
    made: list[Wakeup] = []

    async def main() -> None:
        made.append(Wakeup())

    run(main)
    made[0]()


def test_a_bell_goes_with_its_loop() -> None:
    async def main() -> None:
        wakeup = Wakeup()
        waiting = asyncio.ensure_future(wakeup.wait(LONG))
        await asyncio.sleep(0)
        in_thread(wakeup)
        assert await waiting

    loop = weakref.ref(run(main))  # closed long before the slice of its waits is over
    gc.collect()
    assert loop() is None


def test_what_was_posted_too_late_keeps_a_loop_only_until_the_next_comes() -> None:
    late: list[Wakeup] = []

    async def leave() -> None:
        late.append(Wakeup())

    async def main() -> None:
        Wakeup()

    loop = run(leave)
    late.pop()()
    before = weakref.ref(loop)
    del loop
    run(main)
    gc.collect()
    assert before() is None
