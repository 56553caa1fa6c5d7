"""Two hundred readers who hang up, one after the other, leave no thread and no socket in the worker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.web.servers.conftest import Model, assert_whole
from tests.web.servers.kinds import KINDS, Kind
from tests.web.servers.reader import Reader, get_json
from tests.web.servers.running import LOOK, SOON, RunningServer, open_sockets, threads_of

TIMES = 200

#: Threads of the server; few, so that one thread left behind by each reader cannot hide among them.
THREADS = 4

#: The library's event loop is one thread, and has a pipe to wake it: two sockets.
LOOP_THREADS, LOOP_SOCKETS = 1, 2

PLAIN = [kind for kind in KINDS.values() if not kind.variant]


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.name)
def test_two_hundred_readers_leave_nothing_behind(
    kind: Kind, start: Callable[..., RunningServer], model: Model
) -> None:
    # One worker, so that it is the same that all of them left.
    server = start(kind, *(("--workers", "1") if "sync" in kind.command else ()), threads=THREADS)
    pid = get_json(server.port, "/census")["pid"]
    # One complete stream leaves a connection to the model, for the next one.
    sockets = open_sockets(pid) + LOOP_SOCKETS + 1
    threads = threads_of(pid) + LOOP_THREADS + THREADS
    with Reader(server.port, question="?") as reader:
        assert_whole(reader.rest())
    model.says(hold_before=3)
    for _ in range(TIMES):
        with Reader(server.port, question="?", heartbeat=0.005) as reader:
            assert reader.chunk() == "one "
            assert reader.worker == pid
    model.wait_for_left(TIMES)
    model.wait_until(lambda counts: counts.open_connections <= 1)
    until = time.monotonic() + SOON
    while open_sockets(pid) > sockets or threads_of(pid) > threads:
        assert time.monotonic() < until, (
            f"{open_sockets(pid)} sockets of {sockets} at most, {threads_of(pid)} threads of {threads} at most"
        )
        time.sleep(LOOK)
