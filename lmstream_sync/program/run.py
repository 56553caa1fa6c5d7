"""One run of a predictor: what it asks a model for, and the Prediction it makes of the reply.

All of `Predict` that is the same whether it waits or awaits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lmstream_sync.adapters import Adapter, ChatAdapter
from lmstream_sync.errors import ConfigurationError, SignatureError
from lmstream_sync.lm.engine import Choice, Reply
from lmstream_sync.program.module import Predictor
from lmstream_sync.program.observing import current_observer
from lmstream_sync.program.reading import ReaderTap, read_at_once
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction, SignatureMeta, check_inputs, ensure_signature

if TYPE_CHECKING:
    from lmstream_sync.lm.model import LM

__all__ = ["Asked", "Run", "asked"]


class Asked(NamedTuple):
    """A call of a predictor, understood.

    Attributes:
        signature: the predictor's, or that of the call.
        lm: the call's, else the predictor's, else that of the settings.
        demos: the call's, else the predictor's.
        config: options of the request, those of the call over the predictor's.
        inputs: name → value, checked, with defaults.
    """

    signature: SignatureMeta
    lm: LM
    demos: Sequence[Mapping[str, Any]]
    config: dict[str, Any]
    inputs: dict[str, Any]


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
    return Asked(
        signature=signature,
        lm=_checked_lm(lm or predictor.lm or settings.lm),
        demos=predictor.demos if demos is None else demos,
        config={**predictor.config, **(config or {})},
        inputs=checked,
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


def _adapter_in_force() -> Adapter:
    adapter = settings.adapter
    if adapter is None:
        return ChatAdapter()
    if not isinstance(adapter, Adapter):
        shown = f"the class {adapter.__name__}" if isinstance(adapter, type) else f"a {type(adapter).__name__}"
        raise ConfigurationError(f"the setting adapter is {shown}; give an adapter object, such as lms.ChatAdapter()")
    return adapter


class Run:
    """One run of a predictor, from its arguments to its Prediction.

    `lm`, `messages`, `options` and `tap` are what to send; `prediction` takes what came.

    Raises:
        SignatureError, ConfigurationError: see `asked`.
    """

    def __init__(self, predictor: Predictor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._predictor = predictor
        self._asked = asked(predictor, args, kwargs)
        self._adapter = _adapter_in_force()
        signature = self._asked.signature
        self.lm = self._asked.lm
        self.options = self._asked.config
        self.messages = self._adapter.format(signature, self._asked.demos, self._asked.inputs)
        observer = current_observer.get()
        self._observer = observer.begin(predictor, list(signature.output_fields)) if observer is not None else None
        #: Only a run that somebody listens to asks for a streamed reply.
        self.tap = ReaderTap(self._adapter, signature, self._observer) if self._observer is not None else None

    def prediction(self, reply: Reply) -> Prediction:
        """The Prediction that a reply makes.

        Raises:
            AdapterParseError: the reply lacks a field, or a field does not fit its type.
        """
        signature = self._asked.signature
        if reply.cached and self._observer is not None:
            self._observer.cache_hit()
        values: list[dict[str, Any]] = []
        texts: list[dict[str, str]] = []
        for choice in reply.choices or [Choice()]:
            fields = self.tap.fields(choice) if self.tap is not None else None
            if fields is None:
                fields = read_at_once(self._adapter, signature, choice.text)
            values.append(self._adapter.values(signature, fields, choice.text))
            texts.append(fields)
        made = Prediction.from_completions(values, signature=signature, raw=texts)
        made._set_cost(reply.cost)
        trace = settings.trace
        if isinstance(trace, list):
            trace.append((self._predictor, self._asked.inputs, made))
        return made
