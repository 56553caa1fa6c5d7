"""What can be done of a call in the caller's thread, before the loop hears of it.

A call of a `Predict` or `ChainOfThought` as they come is one run of a predictor: its request is
written here, and where the cache has the reply there is nothing to wait for. What is done for it
(usage, history, trace) is what running the program would do. Where callbacks watch, or something
goes wrong, nothing is done here and everything happens in its own place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmstream_sync.callbacks import stream_callbacks
from lmstream_sync.lm import LM
from lmstream_sync.program.chain_of_thought import ChainOfThought
from lmstream_sync.program.entries import FOUR, OneCall, nearest
from lmstream_sync.program.module import Module
from lmstream_sync.program.observing import current_observer
from lmstream_sync.program.predict import Predict
from lmstream_sync.program.run import Run
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction

__all__ = ["answer_at_hand", "may_be_at_hand", "written_run"]


def written_run(program: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Run | None:
    """The run that a call of a program is, its first request written; `None` where that is not certain.

    Raises:
        SignatureError, ConfigurationError: what can be known to be wrong with the call.
    """
    asks: Any = program.predict if _as_it_comes(program, ChainOfThought) else program
    if not _as_it_comes(asks, Predict) or settings.callbacks or program.callbacks or asks.callbacks:
        return None
    run = Run(asks, args, kwargs)
    if run.adapter.callbacks:
        return None
    try:
        run.write()
    except Exception:  # it will be raised where the program runs
        return None
    return run


def may_be_at_hand(run: Run) -> bool:
    """Whether the cache in memory may have the reply to a run, and nobody watches the model being asked."""
    lm = run.lm
    return type(lm) is LM and bool(lm.cache and lm.cache_in_memory) and not lm.callbacks


def answer_at_hand(program: Any, run: Run) -> Prediction | None:
    """What a call of a program gives where the cache has the reply; in a context of the call's own.

    Args:
        program: what is called.
        run: what `written_run` gave for the call; one that `may_be_at_hand`.
    """
    current_observer.set(None)
    stream_callbacks.set(None)
    try:
        if run.predictor is program:
            return _answer(run)
        with OneCall(program, (), {}, begins=True) as call:
            found = _answer(run)
            return call.gives(found) if found is not None else None
    except Exception:  # a reply that does not parse is asked for anew, by the program
        return None


def _answer(run: Run) -> Prediction | None:
    with OneCall(run.predictor, (), {}, begins=True) as call:
        messages, options, _ = run.first(ahead=True)
        found = run.lm.remembered(messages, options, run.prediction)
        return call.gives(found) if found is not None else None


def _as_it_comes(program: Any, kind: type[Module]) -> bool:
    """Whether it is of a kind, and called it does what that does."""
    return isinstance(program, kind) and not nearest(type(program), kind, *FOUR)
