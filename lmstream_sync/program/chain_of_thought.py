"""`ChainOfThought`: a predictor that writes its reasoning before its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmstream_sync.errors import SignatureError
from lmstream_sync.program.entries import FOUR, nearest
from lmstream_sync.program.module import Module
from lmstream_sync.program.predict import Predict
from lmstream_sync.signatures import OutputField, Prediction, SignatureLike, ensure_signature

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["ChainOfThought"]

REASONING = "reasoning"


class ChainOfThought(Module):
    """Asks as `Predict` does, with one more output field before the others: `reasoning`.

    Its predictor is `self.predict`, and `predict` is the name in events.

    Args:
        signature: a string or a `Signature`; one that has an output `reasoning` keeps its own.
        rationale_field: an `OutputField` for `reasoning`, instead of the default one.
        rationale_field_type: the type of `reasoning`; `str`. Not with a `rationale_field`
            that has a type.
        callbacks: see `Module`.
        config: options of every request, see `Predict`.

    Raises:
        SignatureError: the signature does not parse, or has an input `reasoning`.
    """

    def __init__(
        self,
        signature: SignatureLike,
        rationale_field: Any = None,
        rationale_field_type: Any = str,
        callbacks: Sequence[BaseCallback] | None = None,
        **config: Any,
    ) -> None:
        super().__init__(callbacks)
        asks = ensure_signature(signature)
        if REASONING in asks.input_fields:
            raise SignatureError(
                f"{asks.signature!r}: {REASONING!r} is the field that ChainOfThought adds; rename yours"
            )
        if rationale_field is not None or REASONING not in asks.output_fields:
            field = rationale_field or OutputField(desc="the steps of thought that lead to what follows")
            typed = getattr(field, "annotation", None) is not None
            asks = asks.prepend(REASONING, field, None if typed else rationale_field_type)
        self.predict = Predict(asks, **config)

    if TYPE_CHECKING:
        # What `Module` does, with the type of what comes back.
        def __call__(self, *args: Any, **inputs: Any) -> Prediction: ...

        async def acall(self, *args: Any, **inputs: Any) -> Prediction: ...

    def forward(self, *args: Any, **inputs: Any) -> Prediction:
        """Ask, and wait for the answer; see `Predict.forward`."""
        return self.predict(*args, **inputs)

    async def aforward(self, *args: Any, **inputs: Any) -> Prediction:
        """Ask, and await the answer; see `Predict.forward`."""
        return await self.predict.acall(*args, **inputs)

    def check_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise what can be known to be wrong with a call before it starts: its inputs, no LM.

        Raises:
            SignatureError, ConfigurationError: see `Predict.forward`.
        """
        if nearest(type(self), ChainOfThought, *FOUR):
            super().check_call(args, kwargs)
        else:
            self.predict.check_call(args, kwargs)
