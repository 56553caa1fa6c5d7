"""Counts tokens and their price, for a stream, a prediction or any other span of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from math import isfinite
from typing import Any

from lmstream_sync.lm.engine import Price
from lmstream_sync.runtime.locks import ForkSafeLock

__all__ = ["COUNTS", "UsageTally", "current_tally", "estimated_usage", "plain_usage", "record_usage"]

#: What is counted, in tokens.
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")

# English text has about four characters a token; only used where a provider reported nothing.
_CHARACTERS_PER_TOKEN = 4


# Guards all tallies: each holds it for a few steps, and there are two for every call.
_lock = ForkSafeLock()


class UsageTally:
    """Sums of usage, model by model. Any thread may add and look.

    Args:
        within: the tally that counts the same and more.
    """

    __slots__ = ("_cost", "_unpriced", "_usage", "within")

    def __init__(self, within: UsageTally | None = None) -> None:
        self.within = within
        self._usage: dict[str, dict[str, Any]] = {}
        self._cost: float | None = None
        self._unpriced: list[Callable[[], float | None]] | None = None

    def add(self, model: str, usage: Mapping[str, Any], price: Price = None) -> None:
        """Add one request's usage, and what it cost or what finds that out."""
        if not usage:
            return
        with _lock:
            sums = self._usage.get(model)
            if sums is None:
                self._usage[model] = {name: int(usage.get(name) or 0) for name in COUNTS}
            else:
                for name in COUNTS:
                    if count := usage.get(name):
                        sums[name] += int(count)
            if usage.get("estimated"):
                self._usage[model]["estimated"] = True
            if callable(price):
                if self._unpriced is None:
                    self._unpriced = []
                self._unpriced.append(price)
            elif price is not None:
                self._cost = (self._cost or 0.0) + price

    @property
    def counted(self) -> bool:
        """Whether anything was counted."""
        return bool(self._usage)

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """Model → its counts, and `estimated=True` where one of them is a guess."""
        with _lock:
            return {model: dict(sums) for model, sums in self._usage.items()}

    @property
    def price(self) -> Price:
        """What all together cost, or what finds it out; holds nothing of the tally."""
        with _lock:
            return partial(_sum, self._cost, tuple(self._unpriced)) if self._unpriced else self._cost

    @property
    def cost(self) -> float | None:
        """US dollars, or `None` where no price was known. May look prices up."""
        price = self.price
        return price() if callable(price) else price


def _sum(known: float | None, unpriced: Sequence[Callable[[], float | None]]) -> float | None:
    found = [cost for look in unpriced if (cost := look()) is not None]
    return sum(found, known or 0.0) if found else known


#: The innermost tally that the requests made here add to.
current_tally: ContextVar[UsageTally | None] = ContextVar("lmstream_sync_tally", default=None)


def record_usage(model: str, usage: Mapping[str, Any], price: Price) -> None:
    """Add one request to the tally in the context, and to all that it is within."""
    tally = current_tally.get()
    while tally is not None:
        tally.add(model, usage, price)
        tally = tally.within


def plain_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's usage object as the counts of `COUNTS`.

    Source of the names: the `usage` object of OpenAI's chat completions.
    """
    prompt = _count(usage, "prompt_tokens")
    completion = _count(usage, "completion_tokens")
    total = _count(usage, "total_tokens")
    reasoning = _count(usage.get("completion_tokens_details"), "reasoning_tokens")
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts the tokens of thought beside those of the answer
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total or prompt + completion,
        # Under another name at DeepSeek. Source: its documentation, "Context caching".
        "cached_tokens": _count(usage.get("prompt_tokens_details"), "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens"),
        "reasoning_tokens": reasoning,
    }


def _count(holder: Any, name: str) -> int:
    if holder is None:
        return 0
    value = holder.get(name) if isinstance(holder, (dict, Mapping)) else None
    if type(value) is int:
        return value
    return int(value) if isinstance(value, (int, float)) and isfinite(value) else 0


def estimated_usage(messages: Sequence[Mapping[str, Any]], answer_characters: int) -> dict[str, Any]:
    """A guess from the lengths of the texts, marked `estimated`."""
    asked = sum(_characters(message.get("content")) for message in messages)
    prompt = -(-asked // _CHARACTERS_PER_TOKEN)
    completion = -(-answer_characters // _CHARACTERS_PER_TOKEN)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "estimated": True,
    }


def _characters(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(_characters(part.get("text")) for part in content if isinstance(part, Mapping))
    return 0
