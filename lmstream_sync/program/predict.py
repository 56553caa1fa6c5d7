"""`Predict`: asks a model once for the output fields of a signature."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from lmstream_sync.adapters import Adapter, ChatAdapter
from lmstream_sync.adapters.reader import Reader
from lmstream_sync.errors import ConfigurationError, SignatureError
from lmstream_sync.lm import LM
from lmstream_sync.lm.engine import Delta, Reply
from lmstream_sync.program.module import Module, prefers_async
from lmstream_sync.program.observing import RunObserver, current_observer
from lmstream_sync.runtime.waiting import forbid_on_loop
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction, check_inputs, ensure_signature

__all__ = ["Predict"]

#: Keyword arguments of a call that are no inputs, unless the signature has an input of that name.
_OPTIONS = ("config", "lm", "signature", "demos")


class Predict(Module):
    """Asks a model for the output fields of a signature.

    Args:
        signature: a string (`"question -> answer"`), a `Signature` class, or a dict.
        callbacks: see `Module`.
        **config: options of the model for every call: `temperature`, `max_tokens`, `n`, ...

    Called with the input fields by name. `config=`, `lm=`, `demos=` and `signature=` hold
    for that call alone. The model is the call's, else the predictor's `lm`, else
    `settings.lm`; the adapter is `settings.adapter`, else a `ChatAdapter`.
    """

    def __init__(self, signature: Any, callbacks: Sequence[Any] | None = None, **config: Any) -> None:
        super().__init__(callbacks)
        self.signature = ensure_signature(signature)
        self.config: dict[str, Any] = config
        self.demos: list[Any] = []
        self.lm: LM | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Prediction:
        """Ask, and wait for the answer.

        Raises:
            SignatureError: an input is missing or unknown.
            ConfigurationError: no model.
            LMError: the model's side failed.
            AdapterParseError: the reply lacks a field, or does not fit its type.
            StreamError: on the event-loop thread; `acall` is the form there.
        """
        forbid_on_loop(self._awaited())
        steps = self._steps(args, kwargs)
        ask = next(steps)
        while True:
            reply = ask.lm.request(ask.messages, ask.config, ask.tap)
            try:
                ask = steps.send(reply)
            except StopIteration as stop:
                prediction: Prediction = stop.value
                return prediction

    async def aforward(self, *args: Any, **kwargs: Any) -> Prediction:
        """`forward` for asynchronous code."""
        steps = self._steps(args, kwargs)
        ask = next(steps)
        while True:
            reply = await ask.lm.arequest(ask.messages, ask.config, ask.tap)
            try:
                ask = steps.send(reply)
            except StopIteration as stop:
                prediction: Prediction = stop.value
                return prediction

    def _steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[_Ask, Reply, Prediction]:
        """The work without the waiting: gives what to ask, is sent the reply, returns the Prediction."""
        call = self._call_of(args, kwargs)
        adapter = settings.adapter or ChatAdapter()
        messages = adapter.format(call.signature, call.demos, call.inputs)
        observer = current_observer.get()
        seen_by = observer.begin(self, tuple(call.signature.output_fields)) if observer is not None else None
        tap = _FieldTap(adapter, call.signature, seen_by) if seen_by is not None else None
        reply = yield _Ask(call.lm, messages, call.config, tap)
        if seen_by is not None and reply.cached:
            seen_by.cache_hit()
        texts = tap.texts if tap is not None and not reply.cached else None
        prediction = _prediction(adapter, call.signature, reply, texts)
        trace = settings.trace
        if trace is not None:
            trace.append((self, dict(call.inputs), prediction))
        return prediction

    def _call_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """What a call asks, checked."""
        if args:
            raise SignatureError(
                f"a predictor takes its inputs by name: {', '.join(f'{name}=...' for name in self.signature.input_fields)}"
            )
        inputs = dict(kwargs)
        options = {name: inputs.pop(name) for name in _OPTIONS if name in inputs and not self._has_input(name)}
        signature = ensure_signature(options["signature"]) if options.get("signature") else self.signature
        lm = options.get("lm") or self.lm or settings.lm
        if lm is None:
            raise ConfigurationError(
                'no LM is configured: lms.configure(lm=lms.LM("openai/gpt-4o-mini")), or Predict(...)(..., lm=...)'
            )
        if not hasattr(lm, "arequest"):
            raise ConfigurationError(f'lm={lm!r} is no LM: give lms.LM("openai/gpt-4o-mini")')
        demos = options["demos"] if options.get("demos") is not None else self.demos
        config = {**self.config, **(options.get("config") or {})}
        return _Call(signature, check_inputs(signature, inputs), lm, demos, config)

    def _has_input(self, name: str) -> bool:
        return name in self.signature.input_fields

    def check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a call that cannot work, before anything runs.

        Raises:
            SignatureError: an input is missing or unknown.
            ConfigurationError: no model.
        """
        if type(self).forward is Predict.forward and prefers_async(self):
            self._call_of(args, kwargs)
        else:
            super().check_call(args, kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.signature.signature})"


@dataclass(slots=True)
class _Call:
    """One call of a predictor, with everything decided."""

    signature: Any
    inputs: dict[str, Any]
    lm: LM
    demos: Sequence[Any]
    config: dict[str, Any]


@dataclass(slots=True)
class _Ask:
    """What a model is to be asked."""

    lm: LM
    messages: list[dict[str, Any]]
    config: dict[str, Any]
    tap: _FieldTap | None


class _FieldTap:
    """Reads the reply while it comes, one reader a choice, and shows the first choice to the observer."""

    def __init__(self, adapter: Adapter, signature: Any, seen_by: RunObserver) -> None:
        self._adapter = adapter
        self._signature = signature
        self._seen_by = seen_by
        self._readers: dict[int, Reader] = {}
        #: index of a choice → its fields' texts, once the reply has ended.
        self.texts: dict[int, dict[str, str]] = {}

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Pieces arrived."""
        for delta in deltas:
            fields = self._reader(delta.index).feed(delta.content) if delta.content else ()
            if delta.index == 0:
                self._seen_by.saw(delta, fields)
        await self._seen_by.flush()

    async def end(self, reply: Reply) -> None:
        """The reply ended well: close what is open."""
        for choice in reply.choices:
            finished = self._reader(choice.index).finish()
            self.texts[choice.index] = finished.fields
            if choice.index == 0:
                self._seen_by.saw(None, finished.deltas)
        await self._seen_by.flush()

    def _reader(self, index: int) -> Reader:
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = self._adapter.reader(self._signature)
        return reader


def _prediction(
    adapter: Adapter, signature: Any, reply: Reply, texts: dict[int, dict[str, str]] | None
) -> Prediction:
    """The Prediction of a reply: from what its readers made of it, else read now by the same reader."""
    answers: list[dict[str, Any]] = []
    raw: list[dict[str, str]] = []
    for choice in reply.choices:
        if texts is not None:
            fields = texts[choice.index]
        else:
            reader = adapter.reader(signature)
            reader.feed(choice.text)
            fields = reader.finish().fields
        answers.append(adapter.values(signature, fields, choice.text))
        raw.append(fields)
    prediction = Prediction.from_completions(answers, signature, raw)
    prediction._set_cost(reply.cost)
    return prediction
