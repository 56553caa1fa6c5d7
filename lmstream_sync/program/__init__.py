"""Programs: modules that ask models, and the tools they use.

`module` has the base of all programs, with `entries` (the four ways in) and `tree` (modules
within modules); `predict` asks a model once, by `run`, `reading` and, after an error, `steps`; `chain_of_thought`
stands on it. `at_hand` is what can be done of such a call before the loop hears of it.
`tool` is what a model may call, with `arguments` and `schemas`; `react` is the agent that has it
do so, by `next_step`, `tool_running` and `trajectory`. `best_of_n` and `refine` make several `attempts`, `parallel`
runs several programs. `batch` calls one for many examples, with a `progress` bar;
`saving` writes what a program has learned, predictor by predictor (`predictor_state`). `observing` is what a stream may
see of all this. Knows nothing of streams.
"""

from __future__ import annotations

from lmstream_sync.program.best_of_n import BestOfN
from lmstream_sync.program.chain_of_thought import ChainOfThought
from lmstream_sync.program.module import Module, prefers_async
from lmstream_sync.program.parallel import Parallel
from lmstream_sync.program.predict import Predict
from lmstream_sync.program.react import ReAct
from lmstream_sync.program.refine import Refine
from lmstream_sync.program.tool import Tool
from lmstream_sync.program.tool_running import ToolResult, arun_tool_calls, run_tool_calls

__all__ = [
    "BestOfN",
    "ChainOfThought",
    "Module",
    "Parallel",
    "Predict",
    "ReAct",
    "Refine",
    "Tool",
    "ToolResult",
    "arun_tool_calls",
    "prefers_async",
    "run_tool_calls",
]
