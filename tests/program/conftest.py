"""What the tests of programs share: callbacks that write down what they see, and replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms


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
