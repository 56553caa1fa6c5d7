"""Shutdown and reload in the middle of a stream: what runs is completed within the server's grace, or ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.servers.conftest import TEXT, Model, assert_broken, assert_whole
from tests.web.servers.kinds import KINDS, Kind
from tests.web.servers.reader import Reader, get_json
from tests.web.servers.running import LOOK, SOON, RunningServer, wait_until_gone

Start = Callable[..., RunningServer]

PLAIN = [kind for kind in KINDS.values() if not kind.variant]
FORKED = [kind for kind in KINDS.values() if "LMSTREAM_TEST_IN_MASTER" in kind.environment]
GRACEFUL = [kind for kind in PLAIN + FORKED if kind.graceful]
RELOADING = [kind for kind in PLAIN + FORKED if kind.reload]
GUNICORN = [kind for kind in PLAIN if "gunicorn" in kind.command]
SAVING = [kind for kind in PLAIN if kind.graceful and kind.app == "Flask"]
WITHOUT_GRACE = [kind for kind in PLAIN if not kind.graceful]

#: Heartbeats read after a signal: the worker has heard it, and streams on.
BEATS = 3


def about(kinds: list[Kind]) -> pytest.MarkDecorator:
    """The test is about these servers."""
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


def begin(server: RunningServer, **query: str) -> Reader:
    """A reader in mid-stream."""
    reader = Reader(server.port, question="?", **query)
    assert reader.chunk() == "one "
    return reader


def tell(server: RunningServer, number: signal.Signals, line: str | None) -> None:
    """Send a signal, and wait until the server says that it heard."""
    said = server.said
    server.signal(number)
    if line is not None:
        server.wait_for_line(line, after=said)


@about(GRACEFUL)
def test_a_graceful_shutdown_lets_the_stream_end(kind: Kind, start: Start, model: Model) -> None:
    server = start(kind)
    gate = model.says(hold_before=3)
    with begin(server) as reader:
        tell(server, signal.SIGTERM, kind.graceful)
        reader.heartbeats(BEATS)
        gate.release()
        assert_whole(reader.rest(), "one ")
    assert server.wait() in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was sent
    model.wait_for_open(0)


@about(GUNICORN)
def test_a_stream_longer_than_the_grace_ends_at_both_sides(kind: Kind, start: Start, model: Model) -> None:
    server = start(kind, "--graceful-timeout", "1")
    model.says(hold_before=3)
    with begin(server) as reader:
        tell(server, signal.SIGTERM, kind.graceful)
        assert_broken(reader)
    model.wait_for_left()
    assert server.wait() == 0


@about(WITHOUT_GRACE)
def test_a_server_without_grace_ends_its_streams_at_both_sides(kind: Kind, start: Start, model: Model) -> None:
    server = start(kind)
    model.says(hold_before=3)
    with begin(server) as reader:
        tell(server, signal.SIGTERM, None)
        assert_broken(reader)
    model.wait_for_left()
    server.wait()


@about(RELOADING)
def test_a_reload_lets_the_stream_end_and_the_server_comes_back(kind: Kind, start: Start, model: Model) -> None:
    server = start(kind)
    port, said = server.port, server.said
    gate = model.says(hold_before=3)
    with begin(server) as reader:
        tell(server, signal.SIGHUP, kind.reload)
        reader.heartbeats(BEATS)
        gate.release()
        assert_whole(reader.rest(), "one ")
    wait_until_gone(reader.worker)
    if kind.listens_anew:
        port = int(server.wait_for_line(kind.listening, after=said).group(1))
    with Reader(port, question="?") as again:
        assert_whole(again.rest())
    assert server.alive


@about(SAVING)
def test_a_program_whose_reader_left_is_finished_and_saved_at_shutdown(
    kind: Kind, start: Start, model: Model, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    one_worker = ("--workers", "1") if "sync" in kind.command else ()
    server = start(kind, *one_worker, LMSTREAM_TEST_SAVED=str(saved))
    gate = model.says(hold_before=3)
    with begin(server, finish="1") as reader:
        pass
    until = time.monotonic() + SOON
    while not get_json(server.port, "/census")["unattended"]:
        assert time.monotonic() < until, "the program was not left to itself"
        time.sleep(LOOK)
    tell(server, signal.SIGTERM, "the worker exits")
    gate.release()
    wait_until_gone(reader.worker)
    assert saved.read_text() == f"completed: {TEXT}\n"
