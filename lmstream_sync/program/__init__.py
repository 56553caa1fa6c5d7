"""Programs: modules that ask models, and what they are built from.

`module` is the base and finds predictors; `predict` asks a model once; `chain_of_thought`
has it think first; `tool` wraps a function for a program. `observing` is the seam through
which a stream sees predictors; this package knows nothing of streams.
"""

from __future__ import annotations

from lmstream_sync.program.chain_of_thought import ChainOfThought
from lmstream_sync.program.module import Module, prefers_async
from lmstream_sync.program.predict import Predict
from lmstream_sync.program.tool import Tool

__all__ = ["ChainOfThought", "Module", "Predict", "Tool", "prefers_async"]
