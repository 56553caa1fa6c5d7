"""`run_many`: one program over many inputs, as a stream of results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from lmstream_sync.errors import ConfigurationError, ListenerError
from lmstream_sync.lm import LM
from lmstream_sync.lm.usage import UsageTally, current_tally
from lmstream_sync.program import Tool
from lmstream_sync.program.batch import arguments_of_input, check_count, checked_inputs
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.clocks import limits_asked
from lmstream_sync.runtime.many import ManyCalls
from lmstream_sync.streaming.calling import check_call
from lmstream_sync.streaming.running import runner_of, settled
from lmstream_sync.streaming.stream import Stream
from lmstream_sync.streaming.views import Pieces

__all__ = ["run_many"]


class _Results(ManyCalls, Stream):
    """A `Stream` of `(index, result)`; it has no text, no Prediction and no final value."""

    def _texts(self, kind: type[Pieces], field: str | None) -> Pieces:
        raise ListenerError("run_many gives whole results, no text; read them with `for index, result in ...`")


def run_many(program: Any, inputs: Iterable[Any], *, concurrency: int = 32, ordered: bool = False) -> Stream:
    """Call a program for many inputs, so many at a time; a `Stream` of `(index, result)` (`ManyResult`).

        for index, result in lms.run_many(program, rows, concurrency=50):
            if isinstance(result, Exception):
                print(index, "failed:", result)
            else:
                print(index, result.answer)

    What one input raises is its result, and the others go on; leaving the loop stops all.
    An asynchronous program (every built-in one) runs on the event loop and takes no thread;
    a synchronous `forward` runs in a worker. Each call has the time limits in force here
    for itself, and sees settings and context variables as they are here. `usage` and `cost`
    are those of all calls; `result()` reads to the end, drops the results and gives `None`.
    Inside a streamed program, what the calls `emit` goes to the reader of that.

    Args:
        program: a `Module`, a callable, or an `LM`.
        inputs: dicts of arguments, `Example` objects (their inputs count) or tuples of
            positional arguments; may be endless. They are pulled inside `next()`, in the
            thread that reads, and only when there is room for another call, so `next()`
            waits for an iterator that waits. What the iterator raises is raised after the
            results of the inputs before.
        concurrency: how many calls may run at once. As many results, running ones included,
            wait for a slow reader at most.
        ordered: give the results in the order of the inputs. To go on while an early one
            takes long, twice `concurrency` inputs are then begun before their turn at most.

    Raises:
        ConfigurationError: not a program, no iterable of inputs, no positive `concurrency`;
            while reading: no LM, or an input that is no dict, Example or tuple.
    """
    run = runner_of(program, isinstance(program, (LM, Tool)))
    name = getattr(program, "__qualname__", type(program).__name__)
    items = checked_inputs(inputs, f"run_many({name})")
    tally = UsageTally(current_tally.get())

    def begin(item: Any) -> Callable[[Call], Awaitable[Any]]:
        args, kwargs = arguments_of_input(item)
        check_call(program, args, kwargs)

        async def one(call: Call) -> Any:
            current_tally.set(tally)
            return await settled(await run(call, args, kwargs), call)

        return one

    if not isinstance(ordered, bool):
        raise ConfigurationError(f"ordered={ordered!r}: give True or False")
    return _Results(
        items,
        begin,
        concurrency=check_count(concurrency, "concurrency"),
        ordered=ordered,
        limits=limits_asked(),
        name=f"run_many({name})",
        tally=tally,
    )
