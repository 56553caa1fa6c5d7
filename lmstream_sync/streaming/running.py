"""Running whatever a program is: a Module, a function, a coroutine function, a generator.

Asynchronous programs run on the loop, synchronous ones in a worker thread. What a
generator yields are events; its final value is a Prediction that it yields last, or what
it returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.program import Module, prefers_async
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.crossing import run_in_call
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.signatures import Prediction, SignatureMeta

__all__ = ["Runner", "program_of", "runner_of", "settled", "streamified"]

#: Runs a program in a call, on the loop: gives what is awaited for what it gives, to be `settled`.
Runner = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]


_STREAMIFIED = "_lmstream_sync_streamified"


def streamified(call_program: Callable[..., Any], program: Any) -> Callable[..., Any]:
    """Mark what `streamify` made of a program, which is a program no more."""
    setattr(call_program, _STREAMIFIED, program)
    return call_program


def program_of(call_program: Any) -> Any:
    """The program that was streamified; `None` where this is not what `streamify` made."""
    return getattr(call_program, _STREAMIFIED, None)


def runner_of(program: Any, is_async_program: bool = False) -> Runner:
    """How to run a program.

    Args:
        program: a Module or any callable.
        is_async_program: use its `acall`, whatever it looks like.

    Raises:
        ConfigurationError: it cannot be called.
    """
    if not callable(program) and not hasattr(program, "acall"):
        raise ConfigurationError(
            f"{program!r} cannot be streamed: give a Module (lms.Predict('question -> answer')), a function, a "
            "coroutine function, or a generator function"
        )
    if program_of(program) is not None:
        raise ConfigurationError("this program is streamified already: give the program itself")
    if isinstance(program, SignatureMeta):
        raise ConfigurationError(f"{program!r} is a signature and no program yet; give lms.Predict(signature)")
    if isinstance(program, type) and issubclass(program, Module):
        raise ConfigurationError(
            f"{program.__name__} is the class; give an object, made of it: {program.__name__}(...)"
        )
    if isinstance(program, Module):
        if is_async_program or prefers_async(program):
            return partial(_acall, program)
        return partial(_run_sync, program)
    if is_async_program:
        return partial(_run_async, getattr(program, "acall", program))
    bare = program
    while isinstance(bare, functools.partial):
        bare = bare.func
    for looked_at in (bare, getattr(bare, "__call__", None)):  # noqa: B004  an object with an async __call__
        if inspect.isasyncgenfunction(looked_at):
            return partial(_run_async_generator, program)
        if inspect.isgeneratorfunction(looked_at):
            return partial(_run_generator, program)
        if inspect.iscoroutinefunction(looked_at):
            return partial(_run_async, program)
    return partial(_run_sync, program)


def _acall(program: Module, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return program.acall(*args, **kwargs)


async def _run_async(fn: Callable[..., Any], call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = fn(*args, **kwargs)
    return await value if inspect.isawaitable(value) else value


async def _run_sync(fn: Callable[..., Any], call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await in_worker(lambda: fn(*args, **kwargs), name=_name(fn))


async def settled(value: Any, call: Call) -> Any:
    """The final value of what a program gave back, which may be something still to run."""
    if inspect.isgenerator(value):
        return await in_worker(lambda: _pump(value, call), name=value.__qualname__)
    if inspect.isasyncgen(value):
        return await _pump_async(value, call)
    if inspect.iscoroutine(value):
        return await value
    return value


async def _run_generator(fn: Callable[..., Any], call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await in_worker(lambda: _pump(fn(*args, **kwargs), call), name=_name(fn))


async def _run_async_generator(
    fn: Callable[..., Any], call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return await _pump_async(fn(*args, **kwargs), call)


def _pump(generator: Iterator[Any], call: Call) -> Any:
    """In a worker: send what a generator yields; give its final value."""
    held = _LastPrediction()
    send = partial(_send, call)
    returned: Any = None
    try:
        while True:
            try:
                event = next(generator)
            except StopIteration as stop:
                returned = stop.value
                break
            send(held.next(event))
    except Exception:
        send(held.rest())
        raise
    finally:
        close = getattr(generator, "close", None)
        if close is not None:
            close()
    if returned is None:
        return held.prediction
    send(held.rest())
    return returned


def _send(call: Call, events: list[Any]) -> None:
    if events:
        run_in_call(call, partial(call.put, events))


async def _pump_async(generator: AsyncIterator[Any], call: Call) -> Any:
    """On the loop: the same for an asynchronous generator."""
    held = _LastPrediction()
    try:
        async for event in generator:
            await call.put(held.next(event))
    except Exception:
        await call.put(held.rest())
        raise
    finally:
        close = getattr(generator, "aclose", None)
        if close is not None:
            await close()
    return held.prediction


class _LastPrediction:
    """Holds a Prediction back until it is known whether it is the last thing that a generator yields."""

    def __init__(self) -> None:
        self.prediction: Prediction | None = None

    def next(self, event: Any) -> list[Any]:
        """The generator yielded this: what can be sent now."""
        events = self.rest()
        if isinstance(event, Prediction):
            self.prediction = event
        else:
            events.append(event)
        return events

    def rest(self) -> list[Any]:
        """What is held, which is not the last after all."""
        prediction, self.prediction = self.prediction, None
        return [] if prediction is None else [prediction]


def _name(fn: Any) -> str:
    return getattr(fn, "__qualname__", type(fn).__name__)
