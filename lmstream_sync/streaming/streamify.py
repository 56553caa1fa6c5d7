"""`streamify` and `stream`: a program, called, as a `Stream` of what it produces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, overload

from lmstream_sync.callbacks import stream_callbacks
from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm import LM
from lmstream_sync.lm.tap import direct_tap
from lmstream_sync.lm.usage import UsageTally, current_tally
from lmstream_sync.program import Module
from lmstream_sync.program.at_hand import answer_at_hand, may_be_at_hand, written_run
from lmstream_sync.program.observing import current_observer
from lmstream_sync.program.run import Run, run_under_way
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.clocks import limits_asked
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.accounts import FieldKey
from lmstream_sync.streaming.calling import check_call
from lmstream_sync.streaming.iterating import new_channel
from lmstream_sync.streaming.listener import Bound, StreamListener, bind, every_field
from lmstream_sync.streaming.messages_in import lm_program
from lmstream_sync.streaming.observer import CallObserver, RawTap
from lmstream_sync.streaming.running import Runner, runner_of, settled, streamified
from lmstream_sync.streaming.status import StatusMessageProvider, kinds_told
from lmstream_sync.streaming.stream import AsyncStream, Stream

__all__ = ["stream", "streamify"]


@overload
def streamify(
    program: Any,
    status_message_provider: StatusMessageProvider | Literal[False] | None = None,
    stream_listeners: Sequence[StreamListener] | None = None,
    include_final_prediction_in_output_stream: bool = True,
    is_async_program: bool = False,
    async_streaming: Literal[False] = False,
    *,
    queue_size: int | None = None,
    timeout: Timeout | float | None = None,
) -> Callable[..., Stream]: ...


@overload
def streamify(
    program: Any,
    status_message_provider: StatusMessageProvider | Literal[False] | None = None,
    stream_listeners: Sequence[StreamListener] | None = None,
    include_final_prediction_in_output_stream: bool = True,
    is_async_program: bool = False,
    *,
    async_streaming: Literal[True],
    queue_size: int | None = None,
    timeout: Timeout | float | None = None,
) -> Callable[..., AsyncStream]: ...


def streamify(
    program: Any,
    status_message_provider: StatusMessageProvider | Literal[False] | None = None,
    stream_listeners: Sequence[StreamListener] | None = None,
    include_final_prediction_in_output_stream: bool = True,
    is_async_program: bool = False,
    async_streaming: bool = False,
    *,
    queue_size: int | None = None,
    timeout: Timeout | float | None = None,
) -> Callable[..., Any]:
    """Wrap a program so that calling it gives a `Stream` of what it produces.

    The result takes the program's own arguments (and, for one call,
    `include_final_prediction_in_output_stream=`). The program starts at the call. The
    wrapper keeps no state: any number of threads may call it at once.

    Args:
        program: a `Module`, or any callable: a function, a coroutine function, a generator
            or an asynchronous generator function. What a generator yields are events; its
            final value is a Prediction that it yields last, or what it returns.
        status_message_provider: makes the status messages; `None` for DSPy's two
            (before and after a tool), `False` for none.
        stream_listeners: the output fields to stream. Without any, every model chunk comes
            as `litellm.ModelResponseStream` with `predict_id` set.
        include_final_prediction_in_output_stream: `False` withholds the final Prediction,
            except on a cache hit, when no listener caught anything, or where there is none.
        is_async_program: run the program by its `acall`, whatever it looks like.
        async_streaming: give an `AsyncStream`, to be read with `async for`.
        queue_size: events that may wait for a slow reader; `settings.queue_size` (32).
        timeout: a `Timeout`, or seconds for the whole call.

    Raises:
        ConfigurationError: something given cannot work; also at the call: no LM.
        ListenerError: a listener's field is in no predictor, or in several, or its type has
            nothing of the granularity asked for.
        SignatureError: (at the call) inputs that the program does not take, or lacks.
    """
    if status_message_provider is not None and not (
        status_message_provider is False
        or (
            hasattr(status_message_provider, "tool_start_status_message")
            and not isinstance(status_message_provider, type)
        )
    ):
        raise ConfigurationError(
            f"status_message_provider={status_message_provider!r}: give a StatusMessageProvider, or False for none"
        )
    own = Timeout.of(timeout)
    plan = _Plan(
        program,
        runner_of(program, is_async_program),
        bind(program, stream_listeners or ()),
        status_message_provider,
        queue_size,
        own,
    )
    new_channel(queue_size)

    def call_program(*args: Any, **kwargs: Any) -> Any:
        include = kwargs.pop("include_final_prediction_in_output_stream", include_final_prediction_in_output_stream)
        opened = plan.open(args, kwargs, include_final=include)
        return AsyncStream(opened) if async_streaming else opened

    return streamified(call_program, program)


def stream(program: Any, /, *args: Any, **inputs: Any) -> Stream:
    """Call a program, or a model, and stream every output field of every predictor, then the Prediction.

    `lms.stream(lm, "prompt")` and `lms.stream(lm, messages=[...])` need no signature: the
    fields are `text` and, where the model gives it, `reasoning`.

    Args:
        program: a `Module`, a callable, or an `LM`.
        *args: its arguments.
        **inputs: its arguments by name.

    Raises:
        ConfigurationError, SignatureError: see `streamify`.
    """
    if isinstance(program, LM):
        called = lm_program(program, args, inputs)
        fields: tuple[FieldKey, ...] = (("self", "text"),)
        more: tuple[FieldKey, ...] = (("self", "reasoning"),)
        return _Plan(program, runner_of(called), (), False, None, None, listened=fields, readable=more).open((), {})
    bound = every_field(program) if isinstance(program, Module) else ()
    plan = _Plan(program, runner_of(program), bound, None, None, None, everything=True)
    return plan.open(args, inputs)


class _Plan:
    """What is known of a streamified program before it is called. Never changed by a call."""

    def __init__(
        self,
        program: Any,
        run: Runner,
        bound: tuple[Bound, ...],
        provider: StatusMessageProvider | Literal[False] | None,
        queue_size: int | None,
        timeout: Timeout | None,
        *,
        everything: bool = False,
        listened: tuple[FieldKey, ...] = (),
        readable: tuple[FieldKey, ...] = (),
    ) -> None:
        self._program = program
        self._run = run
        self._bound = bound
        self._provider: StatusMessageProvider | Literal[False] = (
            StatusMessageProvider() if provider is None else provider
        )
        self._queue_size = queue_size
        self._timeout = timeout
        self._everything = everything
        self._listened = listened or tuple((each.name, each.field) for each in bound)
        self._readable = readable
        self._granularities: Mapping[FieldKey, str] = MappingProxyType(
            {(each.name, each.field): each.granularity for each in bound if each.granularity != "text"}
        )
        self._name = getattr(program, "__qualname__", type(program).__name__)

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, include_final: bool = True) -> Stream:
        """Call the program; what can be known to be wrong is raised here, before a task starts."""
        run = written_run(self._program, args, kwargs)
        if run is None:
            check_call(self._program, args, kwargs)
        tally = UsageTally(current_tally.get())
        begin = partial(self._run_call, args, kwargs, include_final, tally, run)
        call = Call(begin, new_channel(self._queue_size), limits_asked(self._timeout), self._name)
        if run is not None and may_be_at_hand(run) and "lm" not in kinds_told(self._provider):
            found = copy_context().run(answer_at_hand, self._program, run)
            if found is not None:
                call.end_at_once(found)
        return Stream(call, self._listened, self._readable or self._string_fields(), tally, self._granularities)

    @property
    def raw(self) -> bool:
        """Whether the chunks are shown as the model gave them."""
        return not (self._bound or self._everything or self._listened)

    def observer(self, call: Call) -> CallObserver:
        """What sees the program's predictors during one call."""
        # The names of predictors are looked up anew: what a program is made of may change.
        named = isinstance(self._program, Module) and (self._everything or not self._bound)
        names = {id(each): name for name, each in self._program.named_predictors()} if named else {}
        return CallObserver(call, self._bound, names, everything=self._everything, provider=self._provider)

    async def _run_call(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        include_final: bool,
        tally: UsageTally,
        begun: Run | None,
        call: Call,
    ) -> Any:
        """Run the program, on the loop, in a context of the call's own."""
        observer, raw = self.observer(call), self.raw
        current_observer.set(observer)
        direct_tap.set(partial(_raw_tap, call) if raw else None)
        current_tally.set(tally)
        stream_callbacks.set(observer)
        run_under_way.set(begun)
        del begun  # it is the predictor's, and an open stream holds this frame
        value = await self._run(call, args, kwargs)
        if not isinstance(value, Prediction):
            value = await settled(value, call)
        if isinstance(value, Prediction):
            if include_final or raw or observer.hit_cache or not observer.caught:
                call.last = (value,)
        elif value is not None:
            call.last = (value,)
        return value

    def _string_fields(self) -> tuple[FieldKey, ...]:
        """The string output fields, for `Stream.text` without listeners."""
        if self._listened or not isinstance(self._program, Module):
            return ()
        return tuple(
            (name, field.name)
            for name, predictor in self._program.named_predictors()
            for field in predictor.signature.output_fields.values()
            if field.annotation is str
        )


def _raw_tap(call: Call, lm: LM) -> RawTap:
    """Shows a stream's reader what a model gives that its program calls directly."""
    return RawTap(call)
