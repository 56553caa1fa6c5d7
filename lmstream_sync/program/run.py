"""One run of a predictor: what it asks a model for, and the Prediction it makes of the reply.

All of `Predict` that is the same whether it waits or awaits. Most runs are one request and its
reply (`Run.first`, `Run.prediction`); what may be tried after an error is given step by step
(`Run.further`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

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
from lmstream_sync.program.steps import Ask, OffLoop, Request, Show, Steps
from lmstream_sync.program.tool_running import tools_by_name
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction, SignatureMeta, check_inputs, ensure_signature, inputs_of

if TYPE_CHECKING:
    from lmstream_sync.lm.model import LM

__all__ = ["Asked", "Run", "adapter_in_force", "asked", "run_under_way"]

#: A run that was begun where the program was called; the predictor that it is of takes it.
run_under_way: ContextVar[Run | None] = ContextVar("lmstream_sync_run_under_way", default=None)


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
        names = ", ".join(f"{name}=..." for name in inputs_of(signature))
        raise SignatureError(f"a predictor takes its inputs by name: predict({names})")

    fields = inputs_of(signature)
    # An input field of that name is an input.
    lm = inputs.pop("lm") if "lm" in inputs and "lm" not in fields else None
    config = inputs.pop("config") if "config" in inputs and "config" not in fields else None
    demos = inputs.pop("demos") if "demos" in inputs and "demos" not in fields else None
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
        config=attempt_config({**predictor.config, **config} if config else dict(predictor.config), model),
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

_NOTHING: frozenset[str] = frozenset()


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


class Run:
    """One run of a predictor, from its arguments to its Prediction.

        run = Run(predictor, args, kwargs)
        try:
            return run.prediction(run.lm.request(*run.first()))
        except LMStreamError as error:
            further = run.further(error)
        return waited(further)

    Attributes:
        predictor: what runs.
        lm: the model that is asked.
        adapter: writes the request under way and reads its reply.

    Raises:
        SignatureError, ConfigurationError: see `asked`.
    """

    # One object for all that a run knows, as every open stream holds one.
    __slots__ = (
        "_answered",
        "_config",
        "_demos",
        "_how",
        "_inputs",
        "_observer",
        "_refused",
        "_signature",
        "_tap",
        "_tools",
        "_ways",
        "_written",
        "adapter",
        "lm",
        "predictor",
    )

    def __init__(self, predictor: Predictor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.predictor = predictor
        self._signature, self.lm, self._demos, self._config, self._inputs, self._tools = asked(predictor, args, kwargs)
        self.adapter = adapter_in_force()
        #: The ways to ask that are left, that of the request under way before them.
        self._ways: Sequence[Manner] = ()
        #: What the endpoint refused of the ways before.
        self._refused = _NOTHING
        #: Whether the request under way got its reply: what goes wrong from then on is in that.
        self._answered = False
        self._observer: RunObserver | None = None
        #: The first request, where it was written ahead.
        self._written: tuple[list[dict[str, Any]], dict[str, Any]] | None = None

    @classmethod
    def of(cls, predictor: Predictor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Run:
        """The run of a call: the one that was begun ahead, or a new one."""
        begun = run_under_way.get()
        if begun is None or begun.predictor is not predictor:
            return cls(predictor, args, kwargs)
        run_under_way.set(None)  # the predictor's next call is another
        return begun

    def write(self) -> None:
        """Write the first request ahead of `first`."""
        self._written = self._begin(self.adapter)

    def first(self, *, ahead: bool = False) -> Request:
        """The first request. Here it is seen whether somebody listens to the run.

        Args:
            ahead: the program has not begun, and will ask for the request once more.
        """
        observer = current_observer.get()
        if observer is not None:
            self._observer = observer.begin(self.predictor, self._signature)
        written = self._written or self._begin(self.adapter)
        self._written = written if ahead else None
        return self._heard(written)

    def prediction(self, reply: Reply) -> Prediction:
        """The Prediction that the reply to the request under way makes.

        Raises:
            AdapterParseError: the reply lacks a field, or a field does not fit its type.
        """
        self._answered = True
        if self._refused:
            remember_refused(self._endpoint(), self._refused)
        if reply.cached and self._observer is not None:
            self._observer.cache_hit()
        values: list[dict[str, Any]] = []
        texts: list[dict[str, str]] = []
        for choice in reply.choices or [Choice()]:
            read = self._tap.read(choice) if self._tap is not None else None
            value, text = self._how.values(read or self._how.whole(choice), choice)
            values.append(value)
            texts.append(text)
        made = Prediction.from_completions(values, signature=self._signature, raw=texts)
        made._set_cost(reply.price)
        trace = settings.trace
        if isinstance(trace, list):
            trace.append((self.predictor, self._inputs, made))
        return made

    def further(self, error: LMStreamError) -> Steps:
        """What there is to try after the first request failed, or its reply did not parse; gives the Prediction.

        An endpoint that refuses what helps a model to keep to the form is asked without it. A
        reply that does not parse is asked for once more where the adapter has a fallback.

        Args:
            error: what went wrong; it is raised where there is nothing to try.
        """
        return self._told(self._further(error))

    def _told(self, steps: Steps) -> Steps:
        """Steps whose failure the observer is told of."""
        try:
            return (yield from steps)
        except LMStreamError:
            if self._observer is not None:
                self._observer.failed()
            raise

    def _further(self, error: LMStreamError) -> Steps:
        # The adapter whose own fallback may still be asked.
        adapter: Adapter | None = self.adapter
        while True:
            try:
                if self._may_ask_without(error):
                    request = self._heard(self._ask_without())
                elif adapter is not None and isinstance(error, AdapterParseError):
                    fallback: Adapter | None = yield OffLoop(adapter.fallback)
                    if fallback is None or error.refusal is not None:
                        raise error
                    adapter = None
                    if self._observer is not None:
                        self._observer.restart("the reply did not parse; asking once more")
                    request = self._heard(self._begin(fallback))
                else:
                    raise error
            finally:
                del error  # its traceback holds the frames that hold this one
            try:
                made = self.prediction((yield Ask(self.lm, request)))
            except LMStreamError as failure:
                error = failure
                continue
            if adapter is None and self._observer is not None:
                yield Show(self._observer)  # a cache hit fed no tap that would have
            return made

    def _begin(self, adapter: Adapter) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Ask by an adapter, in the first of its ways."""
        self.adapter = adapter
        functions = self._tools is not None and adapter.use_native_function_calling
        self._ways = manners(adapter, self._signature, functions=functions, given=self._given, endpoint=self._endpoint)
        self._refused = _NOTHING
        return self._request()

    def _may_ask_without(self, error: LMStreamError) -> bool:
        """Whether there is a way without what the endpoint refused."""
        if self._answered or len(self._ways) < 2:
            return False
        return isinstance(error, BadRequestError) and was_refused(error)

    def _ask_without(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Ask in the next way."""
        before, *self._ways = self._ways
        self._refused |= before.names - self._ways[0].names
        return self._request()

    def _request(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Messages and options in the way that is the first of those left."""
        adapter, signature, manner = self.adapter, self._signature, self._ways[0]
        tools = self._tools if manner.calls_functions else None
        inputs = dict(self._inputs)  # an adapter of the user's may change it
        options = {**manner.options, **self._config}
        natives = native_fields(adapter, signature, calls_functions=tools is not None)
        prompt = signature
        if natives:
            prompt = without(prompt, left_out(natives, self._model(), self._given()))
        if tools is not None:
            prompt = without(prompt, [tools])
            options.setdefault("tools", [tool.format_as_litellm_function_call() for tool in inputs.pop(tools)])
            if adapter.parallel_tool_calls is not None:
                options.setdefault("parallel_tool_calls", adapter.parallel_tool_calls)
        self._how = Reading(adapter, signature, prompt, natives, tools is not None)
        messages = adapter.format(prompt, self._demos, inputs)
        if not takes_documents(self._model()):
            messages = documents_as_text(messages)
        return messages, options

    def _heard(self, written: tuple[list[dict[str, Any]], dict[str, Any]]) -> Request:
        """A request with what sees its reply come: only a run that somebody listens to asks for a streamed one."""
        self._answered = False
        self._tap = ReplyTap(self._how, self._observer) if self._observer is not None else None
        return *written, self._tap

    def _given(self) -> dict[str, Any]:
        """The user's own options of the request."""
        return {**getattr(self.lm, "kwargs", {}), **self._config}

    def _endpoint(self) -> tuple[str, str]:
        """Model and address."""
        return self._model(), str(self._given().get("api_base") or "")

    def _model(self) -> str:
        return str(getattr(self.lm, "model", ""))
