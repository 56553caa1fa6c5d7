"""A tap that remembers, and litellm's lists of callbacks as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from lmstream_sync.lm.engine import Delta, Reply


class RecordingTap:
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.batches: list[list[Delta]] = []
        self.reply: Reply | None = None
        self.fed = threading.Event()

    async def feed(self, deltas: Sequence[Delta]) -> None:
        self.deltas += deltas
        self.batches.append(list(deltas))
        self.fed.set()

    async def end(self, reply: Reply) -> None:
        self.reply = reply

    @property
    def pieces(self) -> list[str]:
        return [delta.content for delta in self.deltas if delta.content]


@pytest.fixture
def tap() -> RecordingTap:
    return RecordingTap()


@pytest.fixture(params=["direct", "litellm"])
def engine(request: pytest.FixtureRequest) -> str:
    """What holds for one engine holds for the other."""
    name: str = request.param
    return name


@pytest.fixture
def litellm_as_it_was() -> Iterator[None]:
    """Callbacks and caches that a test gives litellm end with it."""
    import litellm

    lists = [
        name
        for name, value in vars(litellm).items()
        if name.endswith(("callback", "callbacks")) and type(value) is list
    ]
    before = {name: list(vars(litellm)[name]) for name in lists}
    others = {name: vars(litellm).get(name) for name in ("cache", "acompletion", "suppress_debug_info")}
    yield
    for name, value in before.items():
        vars(litellm)[name][:] = value
    vars(litellm).update(others)
