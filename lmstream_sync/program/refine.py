"""`Refine`: `BestOfN` whose every attempt is told what went wrong in the one before."""

from __future__ import annotations

import inspect
import logging
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmstream_sync.errors import LMStreamError
from lmstream_sync.program.best_of_n import BestOfN, Tried
from lmstream_sync.program.entries import named_inputs
from lmstream_sync.program.module import Module
from lmstream_sync.program.predict import Predict
from lmstream_sync.signatures import InputField, OutputField, Signature
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.values import text_of

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["Refine"]

_log = logging.getLogger("lmstream_sync.attempts")

_TASK = """\
A program of one or more modules was run, and a function gave its outcome a reward below the threshold. Find out
which modules are to blame, and tell each of these what to do differently next time, with the same or similar
inputs. A module will see nothing of this run but your advice, so be concrete."""


class Refine(BestOfN):
    """Runs a program up to `N` times, after each attempt that is not good enough with advice for the next.

    The advice is a model's: `self.advise` is shown what each predictor was given and what it
    answered, the reward and the reward function's source, and writes for each predictor what
    to do differently; the next attempt has that in its instructions. Else it is as `BestOfN`, whose
    arguments it takes. An attempt without advice follows one that raised, or advice that failed.
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
        super().__init__(module, N, reward_fn, threshold, fail_count, callbacks)
        self.advise = Predict(_advice_signature())
        self._reward_source = _source_of(reward_fn)

    async def _hints(self, tried: Tried, args: Sequence[Any], inputs: Mapping[str, Any]) -> Mapping[int, str]:
        named = self.module.named_predictors()
        names = {id(predictor): name for name, predictor in named}
        runs = [
            {"module": names[id(predictor)], "inputs": given, "outputs": answered.toDict()}
            for predictor, given, answered in tried.trace
            if id(predictor) in names
        ]
        tasks = {name: f"{one.signature.signature}: {one.signature.instructions}" for name, one in named}
        try:
            said = await self.advise.acall(
                modules=text_of(tasks),
                program_inputs=text_of(jsonable(named_inputs(self.module, args, inputs))),
                runs=text_of(jsonable(runs)),
                outcome=text_of(jsonable(tried.prediction)),
                reward_function=self._reward_source,
                reward=tried.reward,
                threshold=self.threshold,
            )
        except LMStreamError as error:
            _log.warning("Refine: no advice for the next attempt: %s", error)
            return {}
        return {id(predictor): said.advice[name] for name, predictor in named if said.advice.get(name)}


def _advice_signature() -> type[Signature]:
    def given(desc: str, kind: Any = str) -> tuple[Any, Any]:
        return kind, InputField(desc=desc)

    fields: dict[str, Any] = {
        "modules": given("name of each module, with what goes in and comes out and its task"),
        "program_inputs": given("what the program was given"),
        "runs": given("what each module was given and what it answered, in order"),
        "outcome": given("what the program gave back"),
        "reward_function": given("its source"),
        "reward": given("what it says of the outcome", float),
        "threshold": given("from where on an outcome is good enough", Any),
        "discussion": (str, OutputField(desc="which modules went wrong, and where")),
        "advice": (dict[str, str], OutputField(desc="name of a module that is to blame, and what it should do")),
    }
    made: Any = Signature(fields, _TASK)
    found: type[Signature] = made
    return found


def _source_of(function: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function if inspect.isroutine(function) else type(function)))
    except (OSError, TypeError):  # typed at a prompt, or not written in Python
        return "not known"
