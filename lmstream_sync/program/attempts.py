"""Several attempts of the same program: what is different in each, for every predictor in it.

The attempt in force goes with the context, so nothing of the program is copied or changed,
and its predictors stay those that listeners know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lmstream_sync.callbacks import put_back
from lmstream_sync.signatures import SignatureMeta

__all__ = ["attempt_config", "attempt_signature", "attempted"]

#: The temperature of an attempt where the predictor names none: as in DSPy, high enough for another answer.
TEMPERATURE = 1.0


class _Attempt:
    """One attempt.

    Attributes:
        path: its number, after those of the attempts it is made in.
        hints: id of predictor → what to do better.
    """

    def __init__(self, path: str, hints: Mapping[int, str]) -> None:
        self.path = path
        self.hints = hints


_current: ContextVar[_Attempt | None] = ContextVar("lmstream_sync_attempt", default=None)


@contextmanager
def attempted(number: int, hints: Mapping[int, str]) -> Iterator[None]:
    """Everything that runs in this block belongs to one attempt.

    Args:
        number: tells the attempts apart; part of the cache key, never sent.
        hints: id of predictor → what to do better than the attempt before.
    """
    outer = _current.get()
    path = str(number) if outer is None else f"{outer.path}.{number}"
    token = _current.set(_Attempt(path, {**(outer.hints if outer is not None else {}), **hints}))
    try:
        yield
    finally:
        put_back(_current, token)


def attempt_config(config: dict[str, Any], lm: Any) -> dict[str, Any]:
    """The options of a request, with those of the attempt in force: a temperature and a `rollout_id`.

    Args:
        config: what the predictor and its call say; its temperature wins.
        lm: the model asked, whose own `rollout_id` stays a part of the new one.
    """
    attempt = _current.get()
    if attempt is None:
        return config
    own = config.get("rollout_id", getattr(lm, "kwargs", {}).get("rollout_id"))
    path = attempt.path if own is None else f"{own}.{attempt.path}"
    return {"temperature": TEMPERATURE, **config, "rollout_id": path}


def attempt_signature(signature: SignatureMeta, predictor: Any) -> SignatureMeta:
    """A predictor's signature, with the hint of the attempt in force in its instructions."""
    attempt = _current.get()
    hint = attempt.hints.get(id(predictor)) if attempt is not None else None
    if not hint:
        return signature
    told: Any = signature
    made: SignatureMeta = told.append_instructions(f"A hint, from what went wrong in an earlier attempt:\n{hint}")
    return made
