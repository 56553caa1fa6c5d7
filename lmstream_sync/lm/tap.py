"""How a stream sees models that a program calls directly (`lm("...")`), without a predictor."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from lmstream_sync.lm.engine import Tap

__all__ = ["direct_tap"]

#: Asked by `lm(...)` and `lm.acall(...)` for a tap on that call; given the LM. `None`: nobody looks.
direct_tap: ContextVar[Callable[[Any], Tap | None] | None] = ContextVar("lmstream_sync_direct_tap", default=None)
