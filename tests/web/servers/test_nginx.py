"""Behind nginx with its default settings, which hold back what is not said to be a stream."""

from __future__ import annotations

import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.web.servers.conftest import STARTED, Model, assert_whole
from tests.web.servers.kinds import KINDS, Kind
from tests.web.servers.nginx import GZIP, start_nginx
from tests.web.servers.reader import Reader
from tests.web.servers.running import LOOK, RunningServer

#: Seconds in which nothing comes of what is held back, while heartbeats are written all the time.
WHILE = 1.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="nginx") as path:
        yield Path(path)


@pytest.fixture
def front(request: pytest.FixtureRequest, start: Callable[..., RunningServer], folder: Path) -> Callable[..., str]:
    """Starts a server with nginx in front; gives the address."""

    def begin(kind: Kind, more: str = "") -> str:
        nginx, address = start_nginx(folder, start(kind).port, more)
        request.node.stash[STARTED].append(nginx)
        return address

    return begin


@pytest.mark.parametrize(
    "kind",
    [KINDS["gunicorn gthread"], KINDS["waitress"], KINDS["uWSGI"], KINDS["uvicorn, Django"]],
    ids=lambda k: k.name,
)
def test_nginx_passes_every_piece_on(kind: Kind, front: Callable[..., str], model: Model) -> None:
    address = front(kind)
    gate = model.says(hold_before=3)
    with Reader(address, question="?") as reader:
        assert reader.chunk() == "one "
        reader.heartbeats(2)
        gate.release()
        assert_whole(reader.rest(), "one ")


def test_nginx_holds_the_same_back_where_the_header_is_missing(front: Callable[..., str], model: Model) -> None:
    """The counter-check: without it the test above could not fail."""
    address = front(KINDS["gunicorn gthread"])
    gate = model.says(hold_before=3)
    with Reader(address, question="?", bare="1", heartbeat=0.05) as reader:
        gate.wait()  # the first piece was sent to the app
        until = time.monotonic() + WHILE
        while (left := until - time.monotonic()) > 0:
            if select.select([reader.socket], [], [], left)[0]:
                assert b"one " not in reader.socket.recv(65536, socket.MSG_PEEK)
                time.sleep(LOOK)
        gate.release()
        assert_whole(reader.rest())


def test_nginx_that_compresses_passes_every_piece_on(front: Callable[..., str], model: Model) -> None:
    address = front(KINDS["gunicorn gthread"], GZIP)
    gate = model.says(hold_before=3)
    with Reader(address, question="?", headers={"Accept-Encoding": "gzip"}) as reader:
        assert reader.response.headers["Content-Encoding"] == "gzip"
        assert reader.chunk() == "one "
        gate.release()
        assert_whole(reader.rest(), "one ")


def test_a_reader_who_leaves_nginx_stops_the_model(front: Callable[..., str], model: Model) -> None:
    address = front(KINDS["gunicorn gthread"])
    model.says(hold_before=3)
    with Reader(address, question="?") as reader:
        assert reader.chunk() == "one "
    model.wait_for_left()
