"""Programs: modules that ask models, and the tools they use.

`module` has the base of all programs, with `entries` (the four ways in) and `tree` (modules
within modules); `predict` asks a model once, by `run` and `reading`; `chain_of_thought` and
`tool` stand on these. `observing` is what a stream may see of all this. Knows nothing of streams.
"""

from __future__ import annotations

from lmstream_sync.program.chain_of_thought import ChainOfThought
from lmstream_sync.program.module import Module, prefers_async
from lmstream_sync.program.predict import Predict
from lmstream_sync.program.tool import Tool

__all__ = ["ChainOfThought", "Module", "Predict", "Tool", "prefers_async"]
