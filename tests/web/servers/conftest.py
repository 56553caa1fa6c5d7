"""What the tests of servers share: the model, and each server started once for the tests that can share it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Generator, Iterator

import pytest

from lmstream_sync.testing import Counts, Gate, Reply, ScriptedServer
from tests.web.servers.kinds import AT_ONCE, KINDS, Kind
from tests.web.servers.reader import Reader
from tests.web.servers.running import SOON, RunningServer

#: What the model says.
PIECES = ("[[ ## answer ## ]]\n", "one ", "two ", "three ", "four", "\n\n[[ ## completed ## ]]")
TEXT = "one two three four"


#: The servers that a test started.
STARTED = pytest.StashKey[list[RunningServer]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the servers of a failed test have written belongs to the failure."""
    report = yield
    if report.failed:
        shared = [item.funcargs["served"].latest] if "served" in item.funcargs else []
        for server in [*shared, *item.stash.get(STARTED, [])]:
            report.sections.append((f"output of {' '.join(map(str, server.process.args))}", server.output))
    return report


class Model:
    """The scripted model: what it says next, and what became of its readers since this object was made."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._before = server.counts
        self._gates: list[Gate] = []
        self.says()

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def says(self, hold_before: int | None = None) -> Gate:
        """From now on it says `TEXT`, and holds each reply before this piece until the gate is released."""
        gate = Gate()
        self._gates.append(gate)
        self._server.replies = {
            "whole": Reply(pieces=PIECES),
            "open": Reply(pieces=PIECES, stall_after=3),
            "": Reply(pieces=PIECES, pauses={} if hold_before is None else {hold_before: gate}),
        }
        return gate

    def wait_until(self, condition: Callable[[Counts], bool]) -> None:
        """Wait until the counts since the beginning are as `condition` says."""

        def since(counts: Counts) -> Counts:
            return Counts(**{name: getattr(counts, name) - getattr(self._before, name) for name in vars(counts)})

        try:
            self._server.wait_until(lambda counts: condition(since(counts)), SOON)
        except TimeoutError as error:
            raise AssertionError(f"{error}; before this test {self._before}") from None

    def wait_for_open(self, count: int) -> None:
        """Wait until so many replies are under way."""
        self.wait_until(lambda counts: counts.open_streams == count)

    def wait_for_left(self, count: int = 1) -> None:
        """Wait until so many readers went away in mid-reply, and no other reads."""
        self.wait_until(lambda counts: counts.readers_left == count and counts.open_streams == 0)

    def release_all(self) -> None:
        """Let go whatever a failed test left at a gate."""
        for gate in self._gates:
            gate.release()


class Served:
    """One server of the matrix, kept for all tests of one module; started again where it has ended."""

    def __init__(self, kind: Kind, model: str) -> None:
        self.kind = kind
        self._model = model
        #: The process that was started last, whether it still runs or not.
        self.latest = kind.start(model)

    @property
    def server(self) -> RunningServer:
        """The running server."""
        if not self.latest.alive:
            self.latest.stop()
            self.latest = self.kind.start(self._model)
        return self.latest

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def stop(self) -> None:
        """End it."""
        self.latest.stop()


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedServer]:
    """The model's server."""
    with ScriptedServer("") as server:
        yield server


def assert_whole(events: list[str], before: str = "") -> None:
    """These events, after text that was read before, are the rest of a stream that ended well."""
    data = [json.loads(event) for event in events[:-1]]
    assert before + "".join(each["chunk"]["chunk"] for each in data if "chunk" in each) == TEXT
    assert data[-1] == {"prediction": {"answer": TEXT}}
    assert events[-1] == "[DONE]"


def assert_broken(reader: Reader) -> None:
    """The response ends, and is not said to be complete."""
    try:
        assert "[DONE]" not in reader.rest()
    except TimeoutError:
        pytest.fail("the client's connection hangs")
    except (OSError, http.client.HTTPException):
        pass


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def served(request: pytest.FixtureRequest, provider: ScriptedServer) -> Iterator[Served]:
    """Each server in turn."""
    provider.replies = {"whole": Reply(pieces=PIECES), "open": Reply(pieces=PIECES, stall_after=3)}
    running = Served(request.param, provider.url)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def shared_model(served: Served, provider: ScriptedServer) -> Iterator[Model]:
    """The model of the server that several tests share; at the end nobody may still read from it."""
    model = Model(provider)
    try:
        yield model
        model.wait_for_open(0)
    finally:
        model.release_all()


@pytest.fixture
def model(provider: ScriptedServer) -> Iterator[Model]:
    """The model for a server that the test starts itself."""
    model = Model(provider)
    yield model
    model.release_all()


@pytest.fixture
def start(request: pytest.FixtureRequest, model: Model) -> Iterator[Callable[..., RunningServer]]:
    """Starts a kind of server for this test alone, with the arguments of `Kind.start`."""
    started: list[RunningServer] = []
    request.node.stash[STARTED] = started

    def begin(kind: Kind, *more: str, threads: int = AT_ONCE, **environment: str) -> RunningServer:
        started.append(kind.start(model.url, *more, threads=threads, **environment))
        return started[-1]

    yield begin
    for server in started:
        server.stop()
