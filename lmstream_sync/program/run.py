"""One run of a predictor: what it asks a model for, and the Prediction it makes of the reply.

All of `Predict` that is the same whether it waits or awaits: a run gives its steps one by
one, and `waited` and `awaited` take them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lmstream_sync.adapters import Adapter, ChatAdapter
from lmstream_sync.adapters.content import documents_as_text
from lmstream_sync.errors import AdapterParseError, BadRequestError, ConfigurationError, LMStreamError, SignatureError
from lmstream_sync.lm.engine import Choice, Reply
from lmstream_sync.program.attempts import attempt_config, attempt_signature
from lmstream_sync.program.manners import Manner, manners, remember_refused, was_refused
from lmstream_sync.program.module import Predictor
from lmstream_sync.program.native import left_out, native_fields, takes_documents, tools_field
from lmstream_sync.program.observing import RunObserver, current_observer
from lmstream_sync.program.reading import Reading, ReplyTap, without
from lmstream_sync.program.tool_running import tools_by_name
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction, SignatureMeta, check_inputs, ensure_signature

if TYPE_CHECKING:
    from lmstream_sync.lm.model import LM

__all__ = ["Asked", "Run", "adapter_in_force", "asked", "awaited", "waited"]


class Asked(NamedTuple):
    """A call of a predictor, understood.

    Attributes:
        signature: the predictor's, or that of the call.
        lm: the call's, else the predictor's, else that of the settings.
        demos: the call's, else the predictor's.
        config: options of the request, those of the call over the predictor's.
        inputs: name → value, checked, with defaults.
        tools: the input that holds tools a model may call by itself, or `None`; see `tools_field`.
    """

    signature: SignatureMeta
    lm: LM
    demos: Sequence[Mapping[str, Any]]
    config: dict[str, Any]
    inputs: dict[str, Any]
    tools: str | None


def asked(predictor: Predictor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Asked:
    """Understand the arguments of a call.

    Raises:
        SignatureError: inputs that are missing, unknown or not given by name.
        ConfigurationError: no LM, or something else that is none.
    """
    inputs = dict(kwargs)
    signature = ensure_signature(inputs.pop("signature", None) or predictor.signature)
    if args:
        names = ", ".join(f"{name}=..." for name in signature.input_fields)
        raise SignatureError(f"a predictor takes its inputs by name: predict({names})")

    def option(name: str) -> Any:
        # An input field of that name is an input.
        return inputs.pop(name, None) if name not in signature.input_fields else None

    lm, config, demos = option("lm"), option("config"), option("demos")
    if config is not None and not isinstance(config, Mapping):
        raise ConfigurationError(f"config={config!r}: give a dict of the request's options, {{'temperature': 0.5}}")
    checked = check_inputs(signature, inputs)
    tools = tools_field(signature)
    if tools is not None:
        checked[tools] = list(tools_by_name(checked[tools] or ()).values())
    model = _checked_lm(lm or predictor.lm or settings.lm)
    return Asked(
        signature=attempt_signature(signature, predictor),
        lm=model,
        demos=predictor.demos if demos is None else demos,
        config=attempt_config({**predictor.config, **(config or {})}, model),
        inputs=checked,
        tools=tools,
    )


def _checked_lm(lm: Any) -> LM:
    if lm is None:
        raise ConfigurationError(
            'no LM is configured; say which model to ask: lms.configure(lm=lms.LM("openai/gpt-4o-mini"))'
        )
    if isinstance(lm, str):
        raise ConfigurationError(f"lm={lm!r} is the name of a model; give lm=lms.LM({lm!r})")
    if not hasattr(lm, "arequest"):
        raise ConfigurationError(f"lm= is a {type(lm).__name__}, not an lms.LM")
    found: LM = lm
    return found


_default_adapter = ChatAdapter()


def adapter_in_force() -> Adapter:
    """The adapter of the settings, else `ChatAdapter`.

    Raises:
        ConfigurationError: the setting is no adapter.
    """
    adapter = settings.adapter
    if adapter is None:
        return _default_adapter
    if not isinstance(adapter, Adapter):
        shown = f"the class {adapter.__name__}" if isinstance(adapter, type) else f"a {type(adapter).__name__}"
        raise ConfigurationError(f"the setting adapter is {shown}; give an adapter object, such as lms.ChatAdapter()")
    return adapter


class Step(Protocol):
    """Something that a run has to wait for."""

    def wait(self) -> Any:
        """In a thread that may block."""
        ...

    async def take(self) -> Any:
        """On an event loop."""
        ...


Steps = Generator[Step, Any, Prediction]


class _Ask(NamedTuple):
    """Send a request."""

    lm: LM
    messages: list[dict[str, Any]]
    options: dict[str, Any]
    tap: ReplyTap | None

    def wait(self) -> Reply:
        return self.lm.request(self.messages, self.options, self.tap)

    async def take(self) -> Reply:
        return await self.lm.arequest(self.messages, self.options, self.tap)


class _OffLoop(NamedTuple):
    """Do something that imports, and so not on the loop."""

    do: Callable[[], Any]

    def wait(self) -> Any:
        return self.do()

    async def take(self) -> Any:
        return await in_worker(self.do, name="an import")


class _Show(NamedTuple):
    """Hand on what the observer was told."""

    observer: RunObserver

    def wait(self) -> None:
        crossing.run(self.observer.flush, instead="await predict.acall(...)", name="a restart")

    async def take(self) -> None:
        await self.observer.flush()


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


class Run:
    """One run of a predictor, from its arguments to its Prediction.

    Raises:
        SignatureError, ConfigurationError: see `asked`.
    """

    def __init__(self, predictor: Predictor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._predictor = predictor
        self._asked = asked(predictor, args, kwargs)
        self._adapter = adapter_in_force()
        lm = self._asked.lm
        self._given: dict[str, Any] = {**getattr(lm, "kwargs", {}), **self._asked.config}
        self._endpoint = (str(getattr(lm, "model", "")), str(self._given.get("api_base") or ""))
        observer = current_observer.get()
        self._observer = observer.begin(predictor, self._asked.signature) if observer is not None else None

    def steps(self) -> Steps:
        """What there is to wait for, one after the other; gives the Prediction.

        A reply that does not parse is asked for once more where the adapter has a fallback.

        Raises:
            AdapterParseError: the reply lacks a field, or a field does not fit its type.
        """
        try:
            return (yield from self._attempts())
        except LMStreamError:
            if self._observer is not None:
                self._observer.failed()
            raise

    def _attempts(self) -> Steps:
        """Ask, and once more by the adapter's fallback where the reply does not parse."""
        try:
            return (yield from self._attempt(self._adapter))
        except AdapterParseError as error:
            failure = error
        try:
            fallback: Adapter | None = yield _OffLoop(self._adapter.fallback)
            if fallback is None or failure.refusal is not None:
                raise failure
        finally:
            del failure
        if self._observer is not None:
            self._observer.restart("the reply did not parse; asking once more")
        made = yield from self._attempt(fallback)
        if self._observer is not None:
            yield _Show(self._observer)  # a cache hit fed no tap that would have
        return made

    def _attempt(self, adapter: Adapter) -> Steps:
        """Ask in the ways that help a model to keep to the form, then without."""
        signature = self._asked.signature
        tools = self._asked.tools if adapter.use_native_function_calling else None
        ways = list(
            manners(adapter, signature, functions=tools is not None, given=self._given, endpoint=self._endpoint)
        )
        refused: frozenset[str] = frozenset()
        for number, manner in enumerate(ways, 1):
            how, request = self._request(adapter, manner, tools if manner.calls_functions else None)
            try:
                reply: Reply = yield request
            except BadRequestError as error:
                if number == len(ways) or not was_refused(error):
                    raise
                refused |= manner.names - ways[number].names
                continue
            if refused:
                remember_refused(self._endpoint, refused)
            return self._prediction(how, request.tap, reply)
        raise AssertionError("there is always a way to ask")

    def _request(self, adapter: Adapter, manner: Manner, tools: str | None) -> tuple[Reading, _Ask]:
        """A request, and how its reply is read."""
        signature = self._asked.signature
        inputs = dict(self._asked.inputs)
        options = {**manner.options, **self._asked.config}
        natives = native_fields(adapter, signature, calls_functions=tools is not None)
        prompt = without(signature, left_out(natives, self._endpoint[0], self._given))
        if tools is not None:
            prompt = without(prompt, [tools])
            options.setdefault("tools", [tool.format_as_litellm_function_call() for tool in inputs.pop(tools)])
            if adapter.parallel_tool_calls is not None:
                options.setdefault("parallel_tool_calls", adapter.parallel_tool_calls)
        how = Reading(adapter, signature, prompt, natives, calls_functions=tools is not None)
        messages = adapter.format(prompt, self._asked.demos, inputs)
        if not takes_documents(self._endpoint[0]):
            messages = documents_as_text(messages)
        # Only a run that somebody listens to asks for a streamed reply.
        tap = ReplyTap(how, self._observer) if self._observer is not None else None
        return how, _Ask(self._asked.lm, messages, options, tap)

    def _prediction(self, how: Reading, tap: ReplyTap | None, reply: Reply) -> Prediction:
        """The Prediction that a reply makes."""
        if reply.cached and self._observer is not None:
            self._observer.cache_hit()
        values: list[dict[str, Any]] = []
        texts: list[dict[str, str]] = []
        for choice in reply.choices or [Choice()]:
            read = tap.read(choice) if tap is not None else None
            value, text = how.values(read or how.whole(choice), choice)
            values.append(value)
            texts.append(text)
        made = Prediction.from_completions(values, signature=self._asked.signature, raw=texts)
        made._set_cost(reply.price)
        trace = settings.trace
        if isinstance(trace, list):
            trace.append((self._predictor, self._asked.inputs, made))
        return made
