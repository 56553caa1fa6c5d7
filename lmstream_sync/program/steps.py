"""What a run has to wait for after its first request, step by step: the same whether it waits or awaits.

A generator gives the steps one by one, and `waited` and `awaited` take them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lmstream_sync.errors import LMStreamError
from lmstream_sync.lm.engine import Reply
from lmstream_sync.program.observing import RunObserver
from lmstream_sync.program.reading import ReplyTap
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.signatures import Prediction

if TYPE_CHECKING:
    from lmstream_sync.lm.model import LM

__all__ = ["Ask", "OffLoop", "Request", "Show", "Step", "Steps", "awaited", "waited"]


class Step(Protocol):
    """Something that a run has to wait for."""

    def wait(self) -> Any:
        """In a thread that may block."""
        ...

    async def take(self) -> Any:
        """On an event loop."""
        ...


Steps = Generator[Step, Any, Prediction]

#: The messages of a request, its options, and what sees its reply while it comes.
Request = tuple["list[dict[str, Any]]", "dict[str, Any]", "ReplyTap | None"]


class Ask(NamedTuple):
    """Send a request, of the arguments that `LM.request` takes."""

    lm: LM
    request: Request

    def wait(self) -> Reply:
        """See `Step`."""
        return self.lm.request(*self.request)

    async def take(self) -> Reply:
        """See `Step`."""
        return await self.lm.arequest(*self.request)


class OffLoop(NamedTuple):
    """Do something that imports, and so not on the loop."""

    do: Callable[[], Any]

    def wait(self) -> Any:
        """See `Step`."""
        return self.do()

    async def take(self) -> Any:
        """See `Step`."""
        return await in_worker(self.do, name="an import")


class Show(NamedTuple):
    """Hand on what the observer was told."""

    observer: RunObserver

    def wait(self) -> None:
        """See `Step`."""
        crossing.run(self.take, instead="await predict.acall(...)", name="a restart")

    async def take(self) -> None:
        """See `Step`."""
        waiting = self.observer.flush()
        if waiting is not None:
            await waiting


def waited(steps: Steps) -> Prediction:
    """Take the steps of a run in a thread that may block."""
    go_on: Callable[[], Step] = partial(next, steps)
    try:
        while True:
            try:
                step = go_on()
            except StopIteration as stop:
                made: Prediction = stop.value
                return made
            try:
                go_on = partial(steps.send, step.wait())
            except LMStreamError as error:
                go_on = partial(steps.throw, error)
    finally:
        del go_on  # it may hold an error, whose traceback holds this frame


async def awaited(steps: Steps) -> Prediction:
    """Take the steps of a run on an event loop."""
    go_on: Callable[[], Step] = partial(next, steps)
    try:
        while True:
            try:
                step = go_on()
            except StopIteration as stop:
                made: Prediction = stop.value
                return made
            try:
                go_on = partial(steps.send, await step.take())
            except LMStreamError as error:
                go_on = partial(steps.throw, error)
    finally:
        del go_on
