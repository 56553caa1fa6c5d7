"""The event loop that all streams share."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from lmstream_sync.runtime.crossing import run
from lmstream_sync.runtime.loop import READ_SIZE, LoopThread, loop_thread, on_loop_thread
from tests.runtime.programs import SOON


def test_a_socket_is_read_in_pieces_below_what_the_c_library_maps_anew_each_time() -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.sendall(b"x" * (2 * READ_SIZE + 1))  # all there before the first read
    theirs.close()
    reads: list[int] = []

    async def read() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        class Reader(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                reads.append(len(data))

            def connection_lost(self, error: Any) -> None:
                over.set_result(None)

        await loop.create_connection(Reader, sock=ours)
        await over

    run(read, instead="")
    assert reads == [READ_SIZE, READ_SIZE, 1]


def test_calls_that_come_while_the_loop_is_busy_wake_it_once_and_begin_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, began, woken = loop_thread(), [], []
    variable: ContextVar[int] = ContextVar("variable")
    post = thread.loop.call_soon_threadsafe

    def counted(*args: Any, **kwargs: Any) -> Any:
        woken.append(args)
        return post(*args, **kwargs)

    go_on = thread.hold(SOON)
    monkeypatch.setattr(thread.loop, "call_soon_threadsafe", counted)
    try:
        for number in range(50):
            context = copy_context()
            context.run(variable.set, number)
            thread.begin(lambda: began.append((variable.get(), on_loop_thread())), context)
    finally:
        go_on()
    monkeypatch.undo()
    run(lambda: asyncio.sleep(0), instead="")
    assert began == [(number, True) for number in range(50)]
    assert len(woken) == 1


def test_no_call_is_forgotten_whoever_begins_it() -> None:
    began: list[int] = []

    def begin() -> None:
        for number in range(200):
            loop_thread().begin(lambda number=number: began.append(number), copy_context())  # type: ignore[misc]

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    run(lambda: asyncio.sleep(0), instead="")
    assert sorted(began) == sorted(list(range(200)) * 8)


def test_one_that_cannot_begin_keeps_no_other_from_it() -> None:
    thread, told, began = loop_thread(), threading.Event(), threading.Event()

    def fail() -> None:
        raise ValueError("x")

    async def hear() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.set())

    async def hear_no_more() -> None:
        asyncio.get_running_loop().set_exception_handler(None)

    run(hear, instead="")
    try:
        go_on = thread.hold(SOON)
        thread.begin(fail, copy_context())
        thread.begin(began.set, copy_context())
        go_on()
        assert began.wait(SOON) and told.is_set()
    finally:
        run(hear_no_more, instead="")


def test_a_loop_that_was_closed_begins_nothing_and_says_so_each_time() -> None:
    thread = LoopThread()
    thread.loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            thread.begin(list, copy_context())
