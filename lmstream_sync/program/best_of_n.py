"""`BestOfN`: runs a program several times and keeps the answer that a function likes best."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lmstream_sync.errors import ConfigurationError, SignatureError
from lmstream_sync.program.attempts import attempted
from lmstream_sync.program.entries import FOUR, named_inputs, nearest
from lmstream_sync.program.module import Module
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["BestOfN", "Tried"]

_log = logging.getLogger("lmstream_sync.attempts")


class Tried(NamedTuple):
    """An attempt that gave something.

    Attributes:
        prediction: what it gave.
        reward: what the reward function says of it.
        trace: predictor, inputs and Prediction of each run in it.
    """

    prediction: Any
    reward: float
    trace: Sequence[tuple[Any, Mapping[str, Any], Prediction]]


class BestOfN(Module):
    """Runs a program up to `N` times; gives the first answer that is good enough, else the best.

        def short(inputs, prediction):
            return 1.0 if len(prediction.answer.split()) == 1 else 0.0

        best = lms.BestOfN(qa, N=3, reward_fn=short, threshold=1.0)
        best(question="What is the capital of Belgium?").answer

    Each attempt is asked anew: with temperature 1.0, where a predictor does not name one, and a
    `rollout_id` of its own, which is part of the cache's key and never sent. The attempts
    are made one after the other.

    A listener streams the first attempt only, which need not be the one that is kept; with
    `allow_reuse=True` it streams every attempt, each from its beginning.

    Args:
        module: the program.
        N: attempts at most.
        reward_fn: called with the inputs (a dict) and the Prediction, gives a number, the higher the
            better; a plain function, run in a worker thread, or a coroutine function.
        threshold: from this reward on an answer is good enough; `None`: none is, all attempts are made.
        fail_count: attempts that may raise; one more, and its error is raised. `None`: all but the last.
        callbacks: see `Module`.

    Raises:
        ConfigurationError: `N` is no positive number, or `module` no module.
    """

    def __init__(
        self,
        module: Module,
        N: int,  # DSPy's name
        reward_fn: Callable[[dict[str, Any], Any], Any],
        threshold: float | None,
        fail_count: int | None = None,
        callbacks: Sequence[BaseCallback] | None = None,
    ) -> None:
        super().__init__(callbacks)
        name = type(self).__name__
        if not isinstance(module, Module):
            raise ConfigurationError(f"{name}({module!r}): give a module, such as lms.Predict('question -> answer')")
        if isinstance(N, bool) or not isinstance(N, int) or N < 1:
            raise ConfigurationError(f"{name}(N={N!r}): give a whole number of attempts, 1 or more")
        if not callable(reward_fn):
            raise ConfigurationError(
                f"{name}(reward_fn={reward_fn!r}): give a function of the inputs and the Prediction"
            )
        self.module = module
        self.N = N
        self.reward_fn = reward_fn
        self.threshold = threshold
        self.fail_count = N - 1 if fail_count is None else fail_count

    async def aforward(self, *args: Any, **inputs: Any) -> Any:
        """Run the attempts; takes what the program takes.

        Raises:
            Exception: of the attempt that was one failure too many, or of the last when all
                failed; what is wrong with the call itself (`SignatureError`, `ConfigurationError`), at once.
        """
        best: Tried | None = None
        hints: Mapping[int, str] = {}
        failures = 0
        for number in range(self.N):
            last = number == self.N - 1
            try:
                tried = await self._attempt(number, hints, args, inputs)
            except (ConfigurationError, SignatureError):
                raise
            except Exception as error:
                failures += 1
                if failures > self.fail_count or (last and best is None):
                    raise
                _log.warning("%s: attempt %d failed: %s", type(self).__name__, number + 1, error)
                continue
            if best is None or tried.reward > best.reward:
                best = tried
            if self.threshold is not None and tried.reward >= self.threshold:
                break
            if not last:
                hints = await self._hints(tried, args, inputs) or hints
        assert best is not None  # else the last attempt has raised
        trace = settings.trace
        if isinstance(trace, list):
            trace.extend(best.trace)
        return best.prediction

    def check_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise what can be known to be wrong with a call before it starts: what the program does not take.

        Raises:
            SignatureError, ConfigurationError: see `Module.check_call`.
        """
        if nearest(type(self), Module, *FOUR) and type(self).aforward is not BestOfN.aforward:
            super().check_call(args, kwargs)
        else:
            self.module.check_call(args, kwargs)

    async def _attempt(
        self, number: int, hints: Mapping[int, str], args: Sequence[Any], inputs: Mapping[str, Any]
    ) -> Tried:
        trace: list[Any] = []
        with settings.context(trace=trace):
            with attempted(number, hints):
                prediction = await self.module.acall(*args, **inputs)
            ran = list(trace)  # what the reward function asks a model is no part of it
            given = named_inputs(self.module, args, inputs)
            if inspect.iscoroutinefunction(self.reward_fn):
                reward = await self.reward_fn(given, prediction)
            else:
                reward = await in_worker(partial(self.reward_fn, given, prediction), name="the reward function")
                reward = await reward if inspect.isawaitable(reward) else reward
        return Tried(prediction, float(reward), ran)

    async def _hints(self, tried: Tried, args: Sequence[Any], inputs: Mapping[str, Any]) -> Mapping[int, str]:
        """What the next attempt is told, by predictor; nothing here."""
        return {}
