"""Many calls at once, so many at a time, for one reader who brings the inputs.

The inputs are pulled in the reader's thread, each when there is room for its call; the
calls run on the loop, each with limits of its own; their ends come to the reader as
`(index, outcome)`. No thread waits for any of them. Knows nothing of what the calls do.

Who touches what: `ManyCalls` is the reader's side; `_Outcomes` belongs to the loop, but
for `ended`, a number that the reader looks at.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.events import ManyResult
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call, current_call
from lmstream_sync.runtime.channel import Channel
from lmstream_sync.runtime.ending import Outcome
from lmstream_sync.runtime.reading import NOTHING
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.together import until_stopped

__all__ = ["Begin", "ManyCalls"]

#: Understands an input: gives what makes the coroutine to run on the loop.
Begin: TypeAlias = Callable[[Any], Callable[[Call], Awaitable[Any]]]

#: In the place of an outcome that has to wait for those before it: there may be room for another call.
_ROOM = object()

#: The whole has no deadline; each call has its own.
_NO_LIMITS = Timeout(idle=None, total=None, reader=None)


class ManyCalls(EventStream):
    """The outcomes of many calls: `ManyResult(index, result or Exception)`, as they end or in the order of the inputs.

    An exception that is no `Exception` (`KeyboardInterrupt`, `SystemExit`) ends all. So does
    what the inputs themselves raise, after the outcomes of the calls that were begun.

    Args:
        inputs: pulled one by one in the thread that reads; may be endless.
        begin: understands one input, in the context of this object's making. What it raises
            is the outcome of that input; a `ConfigurationError`, which would be that of
            every input, ends all.
        concurrency: how many calls may run at once.
        ordered: give the outcomes in the order of the inputs. At most `2 * concurrency` are
            then begun and not yet given; else `concurrency`.
        limits: those of each call.
        name: what runs, for messages.
    """

    _long_way = True

    def __init__(
        self,
        inputs: Iterable[Any],
        begin: Begin,
        *,
        concurrency: int,
        ordered: bool,
        limits: Timeout,
        name: str,
        **options: Any,
    ) -> None:
        self._inputs: Iterator[Any] | None = iter(inputs)
        self._begin = begin
        self._concurrency = concurrency
        self._allowed = 2 * concurrency if ordered else concurrency
        self._limits = limits
        self._name = name
        self._begun = 0
        self._given = 0
        self._outcomes = _Outcomes(ordered)
        # Room for every outcome and for as many `_ROOM`: what ended never waits for the reader.
        call = Call(self._outcomes.send, Channel(4 * self._allowed), _NO_LIMITS, name)
        call.takes_events = False
        self._context = copy_context()
        self._context.run(current_call.set, call)
        super().__init__(call, **options)

    def _feed(self) -> None:
        """Begin calls while there is room and there are inputs."""
        while self._inputs is not None and self._has_room():
            failure: Exception | None = None
            try:
                item = next(self._inputs)
            except StopIteration:
                return self._no_more(None)
            except Exception as error:
                failure = _with_trace_as_text(error)
            if failure is not None:
                return self._no_more(failure)
            if self._closing:
                return None
            index, self._begun = self._begun, self._begun + 1
            failure = self._context.copy().run(
                _begin_call,
                self._begin,
                item,
                self._limits,
                f"{self._name}[{index}]",
                partial(self._outcomes.came, index),
            )
            if isinstance(failure, ConfigurationError):
                self._begun = index
                return self._no_more(failure)
            if failure is not None:
                self._call.thread.post(self._outcomes.came_to_nothing, index, failure)
        return None

    def _has_room(self) -> bool:
        call = self._call
        if self._closing or self._ended or self._gave_up or call.generation != fork.generation or not call.thread.alive:
            return False
        running = self._begun - self._outcomes.ended
        return self._begun - self._given < self._allowed and running < self._concurrency

    def _no_more(self, failure: Exception | None) -> None:
        self._inputs = None
        self._call.thread.post(self._outcomes.no_more, self._begun, failure)

    def _conclude(self, outcome: Outcome, error: BaseException | None) -> None:
        super()._conclude(outcome, error)
        self._inputs = None  # what they hold open is let go of

    def _hand_out(self, item: Any) -> Any:
        if item is _ROOM:
            return NOTHING
        self._given += 1
        return item

    def _shown(self, item: Any) -> Any:
        return NOTHING if item is _ROOM else item


def _begin_call(begin: Begin, item: Any, limits: Timeout, name: str, came: Callable[[Call], None]) -> Exception | None:
    """Begin the call of one input; gives what is wrong with it, where something is."""
    try:
        make = begin(item)
    except Exception as error:
        return _without_frames(error)
    call = Call(make, None, limits, name)
    call.when_done(partial(came, call))
    call.start()
    return None


class _InputsTraceback(Exception):
    """The cause of an error that the inputs raised: its traceback, as text."""


def _with_trace_as_text(error: Exception) -> Exception:
    text = "".join(traceback.format_exception(error))
    cleaned = _without_frames(error)
    if cleaned.__cause__ is None:
        cleaned.__cause__ = _InputsTraceback(f'\n"""\n{text}"""')
    return cleaned


def _without_frames(error: Exception) -> Exception:
    """The error, and those it came of, without tracebacks.

    Their frames refer to the reader's. Kept by the running call, they would keep the
    stream alive, and its last reference gone would stop nothing.
    """
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        each = ahead.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            ahead += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return error


class _Outcomes:
    """The loop's side: takes the ends of calls and sends them to the reader."""

    def __init__(self, ordered: bool) -> None:
        self.ended = 0
        self._ordered = ordered
        self._held: dict[int, Any] = {}
        self._next = 0
        self._ready: list[Any] = []
        self._sent = 0
        self._total: int | None = None
        self._failure: BaseException | None = None
        self._interrupted: BaseException | None = None
        self._news = asyncio.Event()

    async def send(self, call: Call) -> None:
        """Send outcomes until all are sent; the task of the whole."""
        try:
            while self._interrupted is None:
                ready, self._ready = self._ready, []
                if ready:
                    await call.put(ready)
                    self._sent += sum(1 for item in ready if item is not _ROOM)
                elif self._sent == self._total:
                    break
                else:
                    self._news.clear()
                    await self._news.wait()
        except asyncio.CancelledError:
            await until_stopped(call, call.children)
            raise
        failure, self._failure = self._interrupted or self._failure, None
        if failure is not None:
            raise failure

    def came(self, index: int, call: Call) -> None:
        """A call is done."""
        if call.completed:
            self._came(index, call.result)
        elif isinstance(call.error, Exception):
            self._came(index, call.error)
        else:
            # None: it was stopped with the whole.
            self.ended += 1
            self._interrupted = self._interrupted or call.error
            self._news.set()

    def came_to_nothing(self, index: int, failure: Exception) -> None:
        """An input could not be begun with."""
        self._came(index, failure)

    def no_more(self, total: int, failure: Exception | None) -> None:
        """The inputs are at their end, after so many, or broke off."""
        self._total, self._failure = total, failure
        self._news.set()

    def _came(self, index: int, outcome: Any) -> None:
        self.ended += 1
        if not self._ordered:
            self._ready.append(ManyResult(index, outcome))
        else:
            self._held[index] = outcome
            before = len(self._ready)
            while self._next in self._held:
                self._ready.append(ManyResult(self._next, self._held.pop(self._next)))
                self._next += 1
            if len(self._ready) == before:
                self._ready.append(_ROOM)
        self._news.set()
