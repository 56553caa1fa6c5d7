"""`ChainOfThought`: has the model write its reasoning before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.program.module import Module
from lmstream_sync.program.predict import Predict
from lmstream_sync.signatures import OutputField, Prediction, ensure_signature

__all__ = ["ChainOfThought"]


class ChainOfThought(Module):
    """A predictor with a first output field `reasoning`. The predictor is its attribute `predict`.

    Args:
        signature: see `Predict`.
        rationale_field: another field in place of `reasoning`.
        rationale_field_type: the field's type, `str` when left out.
        callbacks: see `Module`.
        **config: see `Predict`.
    """

    def __init__(
        self,
        signature: Any,
        rationale_field: Any = None,
        rationale_field_type: Any = None,
        callbacks: Sequence[Any] | None = None,
        **config: Any,
    ) -> None:
        super().__init__(callbacks)
        field = rationale_field or OutputField(desc="the steps that lead to the answer")
        extended = ensure_signature(signature).prepend("reasoning", field, rationale_field_type or str)
        self.predict = Predict(extended, **config)

    def forward(self, *args: Any, **kwargs: Any) -> Prediction:
        """Ask, and wait for the answer; see `Predict.forward`."""
        prediction: Prediction = self.predict(*args, **kwargs)
        return prediction

    async def aforward(self, *args: Any, **kwargs: Any) -> Prediction:
        """`forward` for asynchronous code."""
        prediction: Prediction = await self.predict.acall(*args, **kwargs)
        return prediction

    def check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See `Predict.check_call`."""
        if type(self).forward is ChainOfThought.forward and type(self).aforward is ChainOfThought.aforward:
            self.predict.check_call(args, kwargs)
        else:
            super().check_call(args, kwargs)
