"""A scripted model over real HTTP for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a server with the given replies and makes it the model of this test."""
    with ExitStack() as stack:

        def start(replies: Any, **lm_options: Any) -> ScriptedServer:
            server = stack.enter_context(ScriptedServer(replies))
            stack.enter_context(lms.context(lm=server.lm(**lm_options)))
            return server

        yield start


class Hooks(lms.BaseCallback):
    """Writes down what it sees: `seen` has the hooks' names and what they were told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("start", type(instance).__name__, inputs))

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.seen.append(("end", type(exception or outputs).__name__))

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("tool", instance.name, inputs))

    def on_tool_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.seen.append(("tool end", outputs, type(exception).__name__))


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """Callbacks that are in force for this test."""
    watching = Hooks()
    with lms.context(callbacks=[watching]):
        yield watching


def reply(**fields: str) -> str:
    """A reply that gives these fields."""
    return "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in fields.items()) + "[[ ## completed ## ]]\n"
