"""What every server does with a stream: it comes as it is written, ends when the reader leaves, and never hangs."""

from __future__ import annotations

import os
import signal

import pytest

from tests.web.servers.conftest import TEXT, Model, Served, assert_broken, assert_whole
from tests.web.servers.kinds import AT_ONCE, KINDS
from tests.web.servers.reader import Reader, get_json
from tests.web.servers.running import threads_of, wait_until_gone

WITH_A_DOOR = [kind for kind in KINDS.values() if kind.app != "Starlette"]
IN_MASTER = [kind for kind in KINDS.values() if "LMSTREAM_TEST_IN_MASTER" in kind.environment]
GEVENT = [kind for kind in KINDS.values() if kind.gevent]


def only(kinds: list[object]) -> pytest.MarkDecorator:
    """The test is about these servers."""
    return pytest.mark.parametrize("served", kinds, ids=lambda kind: kind.name, indirect=True)


def test_first_piece_comes_while_the_model_still_writes(served: Served, shared_model: Model) -> None:
    gate = shared_model.says(hold_before=3)
    with Reader(served.port, question="?") as reader:
        assert reader.response.status == 200
        assert reader.response.headers["Content-Type"].startswith("text/event-stream")
        assert reader.response.headers["Content-Length"] is None
        first = reader.chunk()
        assert first == "one "  # and the model writes no more than one further piece until the gate opens
        gate.release()
        assert_whole(reader.rest(), first)


def test_a_reader_who_hangs_up_stops_the_model(served: Served, shared_model: Model) -> None:
    shared_model.says(hold_before=3)
    with Reader(served.port, question="?") as reader:
        assert reader.chunk() == "one "
    shared_model.wait_for_left()


def test_a_reader_who_hangs_up_before_the_first_byte_stops_the_model(served: Served, shared_model: Model) -> None:
    shared_model.says(hold_before=0)
    with Reader(served.port, question="?", wait_first=0.1):
        shared_model.wait_for_open(1)
    shared_model.wait_for_left()


@only(WITH_A_DOOR)
def test_head_runs_nothing_to_its_end(served: Served, shared_model: Model) -> None:
    shared_model.says(hold_before=3)
    with Reader(served.port, method="HEAD", question="?") as reader:
        assert reader.response.status == 200
        assert reader.response.headers["Content-Type"].startswith("text/event-stream")
    shared_model.wait_for_open(0)


def test_fifty_streams_at_once(served: Served, shared_model: Model) -> None:
    """Under a `sync` worker a stream takes the whole worker: the others wait for their turn."""
    gate = shared_model.says(hold_before=3)
    readers = [Reader(served.port, question=str(number)) for number in range(AT_ONCE)]
    try:
        shared_model.wait_for_open(served.kind.at_once)
        gate.release()
        for reader in readers:
            assert_whole(reader.rest())
    finally:
        for reader in readers:
            reader.leave()


def test_a_killed_worker_ends_its_streams_at_both_sides(served: Served, shared_model: Model) -> None:
    shared_model.says(hold_before=3)
    server = served.server
    with Reader(server.port, question="?") as reader:
        assert reader.chunk() == "one "
        os.kill(reader.worker, signal.SIGKILL)
        assert_broken(reader)
    shared_model.wait_for_left()
    wait_until_gone(reader.worker)
    if not served.kind.restarts_workers:
        assert server.wait() == -signal.SIGKILL
    shared_model.says()
    with Reader(served.port, question="?") as again:
        assert_whole(again.rest())
        assert again.worker != reader.worker


@only(IN_MASTER)
def test_a_stream_of_the_master_is_refused_in_the_worker(served: Served, shared_model: Model) -> None:
    told = get_json(served.port, "/census")
    assert told["whole_in_master"] == TEXT
    assert told["open_in_worker"] == "StreamForked"


@only(GEVENT)
def test_under_gevent_the_loop_is_no_thread_of_the_systems(served: Served, shared_model: Model) -> None:
    with Reader(served.port, question="?") as reader:
        assert_whole(reader.rest())
    told = get_json(served.port, "/census")
    assert told["loops"] == 1 and told["loop_is_native"] is False
    assert threads_of(told["pid"]) == 1
    assert not told["litellm"]
