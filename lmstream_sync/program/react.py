"""`ReAct`: an agent that thinks, calls a tool, looks at what came of it, and so on until it knows the answer.

Its structure, its fields and the keys of its trajectory are DSPy's; the wording of the prompt is ours.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmstream_sync.adapters import Adapter, ChatAdapter
from lmstream_sync.errors import AdapterParseError, ConfigurationError, ContextWindowExceededError, SignatureError
from lmstream_sync.program.chain_of_thought import ChainOfThought
from lmstream_sync.program.entries import FOUR, nearest
from lmstream_sync.program.module import Module
from lmstream_sync.program.next_step import FINISH, Call, complaint_about, step_signature, with_trajectory
from lmstream_sync.program.predict import Predict
from lmstream_sync.program.tool import Tool
from lmstream_sync.program.tool_running import arun_tool_calls, tools_by_name
from lmstream_sync.program.trajectory import drop_oldest_turn, written
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction, SignatureLike, check_inputs, ensure_signature

if TYPE_CHECKING:
    from lmstream_sync.callbacks import BaseCallback

__all__ = ["ReAct"]

_log = logging.getLogger("lmstream_sync.react")

_FINISHED = "Completed."

#: Options of a predictor's call that an agent hands on to its own.
_HANDED_ON = ("lm", "config")

#: What providers allow as the name of a function (OpenAI's chat completions, `tools[].function.name`).
_WIRE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ReAct(Module):
    """An agent with tools.

        def weather(city: str) -> str:
            \"\"\"The weather of a city.\"\"\"
            ...

        agent = lms.ReAct("question -> answer", tools=[weather])
        agent(question="Do I need an umbrella in Bern?").answer

    Each turn asks `self.react` for `next_thought`, `next_tool_name` and `next_tool_args`, calls
    that tool and puts all of it into the trajectory, until the model calls `finish` or
    `max_iters` turns are over. Then `self.extract` (its predictor is `extract.predict`) gives the
    signature's outputs, after `reasoning`. The Prediction has these and `trajectory`, a dict:
    `thought_0`, `tool_name_0`, `tool_args_0`, `observation_0`, `thought_1`...

    What goes wrong in a turn is told to the model as the turn's observation: a tool that raises
    (`Execution error in weather: ...`), arguments that do not fit, a tool that does not exist. A
    reply that names no next step ends the loop with a warning, and the outputs are extracted
    from what is known so far. When the prompt does not fit the model's context window, the
    oldest turn is dropped from the trajectory (`truncate_trajectory`) and it is tried again.

    Listeners of a field of `react` stream the first turn, with `allow_reuse=True` every turn.

    Args:
        signature: a string or a `Signature`: what goes into the agent, and what comes out at last.
        tools: functions or `Tool` objects.
        max_iters: turns at most; `agent(question=..., max_iters=3)` for one call.
        native_tools: ask by the model's own function calling; `self.react` then has the fields
            `next_thought` and `tool_calls`, the calls of one reply run at the same time and
            each gets its own number in the trajectory (the thought stands with the first), and
            a reply without a call ends the loop.
        callbacks: see `Module`.

    Raises:
        ConfigurationError: no tools, two of one name, one named `finish`, a wrong `max_iters`.
        SignatureError: the signature does not parse, or has a field of a name used here.
    """

    def __init__(
        self,
        signature: SignatureLike,
        tools: Iterable[Callable[..., Any] | Tool],
        max_iters: int = 20,
        native_tools: bool = False,
        callbacks: Sequence[BaseCallback] | None = None,
    ) -> None:
        super().__init__(callbacks)
        self.signature = asks = ensure_signature(signature)
        self.max_iters = _checked_turns(max_iters)
        self.native_tools = native_tools
        self.tools = _checked_tools(tools, native_tools)
        self.tools[FINISH] = Tool(
            _finish,
            name=FINISH,
            desc=f"Call it when all is known that is needed for: {', '.join(asks.output_fields)}.",
            args={},
        )
        self.react = Predict(step_signature(asks, self.tools, native=native_tools))
        self.extract = ChainOfThought(with_trajectory(asks))

    if TYPE_CHECKING:
        # What `Module` does, with the type of what comes back.
        def __call__(self, *args: Any, **inputs: Any) -> Prediction: ...

        async def acall(self, *args: Any, **inputs: Any) -> Prediction: ...

    async def aforward(self, *args: Any, **inputs: Any) -> Prediction:
        """Run the agent.

        Args:
            **inputs: the signature's inputs; `max_iters=` for this call.

        Raises:
            SignatureError: inputs that are missing, unknown or not given by name.
            ContextWindowExceededError: even the last turn alone does not fit.
            LMError, AdapterParseError: see `Predict.forward`; of the last step only the latter.
        """
        inputs, turns = self._understood(args, inputs)
        trajectory: dict[str, Any] = {}
        number = 0
        for _ in range(turns):
            try:
                thought, calls = await self._next_step(trajectory, inputs)
            except ContextWindowExceededError:
                if not trajectory:
                    raise
                _log.warning("the trajectory does not fit the context window; ReAct ends it here")
                break
            except AdapterParseError as error:
                _log.warning("ReAct ends the trajectory here, as the reply says no next step: %s", error)
                break
            observations = await self._observed(calls)
            trajectory[f"thought_{number}"] = thought
            for call, observation in zip(calls, observations, strict=True):
                trajectory[f"tool_name_{number}"] = call.name
                trajectory[f"tool_args_{number}"] = call.args
                trajectory[f"observation_{number}"] = observation
                number += 1
            if any(call.name == FINISH for call in calls):
                break
        answer: Prediction = await self._within_window(self.extract, trajectory, inputs)
        return answer.copy(trajectory=trajectory)

    def truncate_trajectory(self, trajectory: dict[str, Any]) -> dict[str, Any]:
        """The trajectory without its oldest turn, in place; override it for another rule.

        Raises:
            ContextWindowExceededError: there is one turn or none.
        """
        if not drop_oldest_turn(trajectory):
            raise _nothing_left()
        return trajectory

    def check_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise what can be known to be wrong with a call before it starts: its inputs, no LM.

        Raises:
            SignatureError, ConfigurationError: see `Predict.forward`.
        """
        if nearest(type(self), ReAct, *FOUR):
            super().check_call(args, kwargs)
        else:
            inputs, _ = self._understood(args, kwargs)
            self.extract.check_call((), {**inputs, "trajectory": ""})

    def _understood(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """The inputs of a call, with what is handed on, and how many turns it may take."""
        if args:
            names = ", ".join(f"{name}=..." for name in self.signature.input_fields)
            raise SignatureError(f"an agent takes its inputs by name: agent({names})")
        inputs = dict(kwargs)
        fields = self.signature.input_fields
        turns = self.max_iters
        if "max_iters" in inputs and "max_iters" not in fields:
            turns = _checked_turns(inputs.pop("max_iters"))
        options = {name: inputs.pop(name) for name in _HANDED_ON if name in inputs and name not in fields}
        return {**check_inputs(self.signature, inputs), **options}, turns

    async def _next_step(self, trajectory: dict[str, Any], inputs: Mapping[str, Any]) -> tuple[str, list[Call]]:
        """What the model thinks, and what it wants called; several at once only where it calls tools natively."""
        if not self.native_tools:
            said = await self._within_window(self.react, trajectory, inputs)
            return said.next_thought, [Call(said.next_tool_name, said.next_tool_args)]
        tools = [tool for name, tool in self.tools.items() if name != FINISH]
        with settings.context(adapter=_native(settings.adapter)):
            said = await self._within_window(self.react, trajectory, {**inputs, "tools": tools})
        calls = [Call(call.name, call.args) for call in said.tool_calls.tool_calls]
        return said.next_thought or "", calls or [Call(FINISH, {})]

    async def _observed(self, calls: Sequence[Call]) -> list[Any]:
        """What comes of the calls of one turn."""
        complaints = [complaint_about(call.name, call.args, self.tools) for call in calls]
        possible = [call for call, complaint in zip(calls, complaints, strict=True) if not complaint]
        results = iter(await arun_tool_calls(possible, self.tools))
        return [complaint or next(results).observation for complaint in complaints]

    async def _within_window(self, module: Module, trajectory: dict[str, Any], inputs: Mapping[str, Any]) -> Any:
        """Ask, with as much of the trajectory as the model's context window takes."""
        while True:
            try:
                return await module.acall(**inputs, trajectory=written(trajectory))
            except ContextWindowExceededError as error:
                overflow = error
            _log.warning("the prompt does not fit the context window; ReAct drops the oldest turn of its trajectory")
            before = dict(trajectory)
            try:
                left = dict(self.truncate_trajectory(trajectory))
                if left == before:  # a rule of the user's, which would go on for ever
                    raise _nothing_left()
            except ContextWindowExceededError as error:
                error.status_code, error.provider, error.model = overflow.status_code, overflow.provider, overflow.model
                raise error from overflow
            trajectory.clear()
            trajectory.update(left)


def _finish(**_: Any) -> str:
    """Ends the loop, whatever a model gives with it."""
    return _FINISHED


def _nothing_left() -> ContextWindowExceededError:
    return ContextWindowExceededError(
        "the prompt does not fit the model's context window, and the trajectory has nothing more to leave out; give "
        "shorter inputs, or let the tools return less"
    )


def _native(adapter: Any) -> Any:
    """An adapter like that in force, that has the model call tools by itself."""
    if adapter is None:
        return ChatAdapter(use_native_function_calling=True)
    if not isinstance(adapter, Adapter):
        return adapter  # what is wrong with it the predictor says
    made = copy.copy(adapter)
    made.use_native_function_calling = True
    return made


def _checked_turns(max_iters: Any) -> int:
    if isinstance(max_iters, bool) or not isinstance(max_iters, int) or max_iters < 1:
        raise ConfigurationError(f"max_iters={max_iters!r}: give a whole number of turns, 1 or more")
    return max_iters


def _checked_tools(tools: Iterable[Any], native: bool) -> dict[str, Tool]:
    found = tools_by_name(tools)
    if not found:
        raise ConfigurationError("ReAct without tools; give some, or use lms.ChainOfThought")
    if FINISH in found:
        raise ConfigurationError(f"{FINISH!r} is the tool by which ReAct ends; name yours: lms.Tool(func, name=...)")
    for name in found if native else ():
        if not _WIRE_NAME.fullmatch(name):
            raise ConfigurationError(
                f"providers take no function named {name!r}; use letters, digits, _ and -: lms.Tool(func, name=...)"
            )
    return found
