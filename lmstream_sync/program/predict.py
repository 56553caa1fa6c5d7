"""`Predict`: asks a model once, as a signature says. Every other program is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmstream_sync.errors import LMStreamError
from lmstream_sync.program.entries import FOUR, nearest
from lmstream_sync.program.module import Predictor
from lmstream_sync.program.run import Run, asked
from lmstream_sync.program.steps import awaited, waited
from lmstream_sync.runtime.waiting import forbid_on_loop
from lmstream_sync.signatures import Prediction, SignatureLike, ensure_signature

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["Predict"]


class Predict(Predictor):
    """Asks a model for the output fields of a signature, given its input fields.

        qa = lms.Predict("question -> answer")
        qa(question="Why did a chicken cross the kitchen?").answer

    A call may bring `config=` (a dict of the request's options), `lm=`, `demos=` and
    `signature=` of its own, unless an input field has that name.

    Args:
        signature: a string or a `Signature`.
        callbacks: see `Module`.
        config: options of every request: `temperature=`, `n=`, `max_tokens=`, `rollout_id=`, ...
            With `n` above 1 the Prediction's `completions` has all answers.

    Attributes:
        signature: what goes in and comes out.
        demos: examples for the prompt, dicts or `Example` objects.
        lm: the model, or `None` for that of the settings.
        config: the options.

    Raises:
        SignatureError: the signature does not parse.
    """

    def __init__(
        self, signature: SignatureLike, callbacks: Sequence[BaseCallback] | None = None, **config: Any
    ) -> None:
        super().__init__(callbacks)
        self.signature = ensure_signature(signature)
        self.demos = []
        self.lm = None
        self.config = config

    if TYPE_CHECKING:
        # What `Module` does, with the type of what comes back.
        def __call__(self, *args: Any, **inputs: Any) -> Prediction: ...

        async def acall(self, *args: Any, **inputs: Any) -> Prediction: ...

    def forward(self, *args: Any, **inputs: Any) -> Prediction:
        """Ask, and wait for the answer.

        Raises:
            SignatureError: inputs that are missing, unknown or not given by name.
            ConfigurationError: no LM.
            LMError: the model's side failed.
            AdapterParseError: the reply lacks a field, or a field does not fit its type.
            StreamError: on the event-loop thread, where it may not wait.
        """
        forbid_on_loop("await predict.acall(...)")
        run = Run(self, args, inputs)
        try:
            return run.prediction(run.lm.request(*run.first()))
        except LMStreamError as error:
            further = run.further(error)
        return waited(further)

    async def aforward(self, *args: Any, **inputs: Any) -> Prediction:
        """Ask, and await the answer; raises what `forward` raises."""
        run = Run.of(self, args, inputs)
        try:
            return run.prediction(await run.lm.arequest(*run.first()))
        except LMStreamError as error:
            further = run.further(error)
        return await awaited(further)

    def check_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise what can be known to be wrong with a call before it starts: its inputs, no LM.

        Raises:
            SignatureError, ConfigurationError: see `forward`.
        """
        if nearest(type(self), Predict, *FOUR):
            super().check_call(args, kwargs)  # a subclass takes what it likes
        else:
            asked(self, args, kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.signature.signature})"
