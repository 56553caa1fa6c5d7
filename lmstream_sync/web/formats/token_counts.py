"""The tokens of a call, over all its models."""

from __future__ import annotations

from lmstream_sync.streaming.format import Source

__all__ = ["token_counts"]

_COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")


def token_counts(source: Source | None) -> dict[str, int]:
    """Kind of token → how many, of those that are known; empty where nothing is (a cache hit)."""
    counts: dict[str, int] = {}
    for of_model in source.usage.values() if source is not None else ():
        for kind in _COUNTED:
            if isinstance(count := of_model.get(kind), int):
                counts[kind] = counts.get(kind, 0) + count
    return counts if counts.get("total_tokens") else {}
