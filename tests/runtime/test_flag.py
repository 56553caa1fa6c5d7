"""`Flag`: set once, seen by all who wait, with nothing made where nobody does."""

from __future__ import annotations

import threading

from lmstream_sync.runtime.flag import Flag

ROUNDS = 2000


def test_it_is_set_once_and_stays_so() -> None:
    flag = Flag()
    assert not flag.is_set()
    assert not flag.wait(0.001)
    flag.set()
    flag.set()
    assert flag.is_set()
    assert flag.wait(5)


def test_where_nobody_waits_no_event_is_made() -> None:
    flag = Flag()
    flag.set()
    assert flag.wait(5)
    assert flag._event is None


def test_whoever_waits_while_it_is_set_is_let_go() -> None:
    """The wait and the setting begin at the same moment, again and again."""
    flags = [Flag() for _ in range(ROUNDS)]
    start = threading.Barrier(3)
    seen: list[bool] = []

    def waiter() -> None:
        for flag in flags:
            start.wait()
            seen.append(flag.wait(5))

    def setter() -> None:
        for flag in flags:
            start.wait()
            flag.set()

    threads = [threading.Thread(target=target) for target in (waiter, waiter, setter)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * (2 * ROUNDS)
