"""litellm's own cache, where an LM leaves the keeping to it (`cache_in_memory=False`).

Knows litellm by the module object that it is given.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.usage import COUNTS

__all__ = ["NOTHING_SENT", "cache_options", "from_litellms_cache", "import_for_cache", "let_it_write"]

#: The usage of a reply that came from the cache.
NOTHING_SENT: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "cost": 0.0}

#: What litellm imports at a hit, by its place in newer versions, and in 1.106.
_ON_A_HIT = (
    "litellm.llms.anthropic.messages.native.response_cache",
    "litellm.llms.anthropic.pass_through.messages.response_cache",
)


def cache_options(litellm: ModuleType, request: LMRequest) -> dict[str, Any]:
    """What tells litellm's cache whether this request is its business.

    A cache that the user set is used; where there is none, a local one is set, which is
    asked only where a request says so: plain litellm beside us is not cached by it.
    """
    if request.engine_cache:
        if getattr(litellm, "cache", None) is None:
            vars(litellm)["cache"] = litellm.Cache(type="local", mode="default_off")
        namespace = {} if request.rollout_id is None else {"namespace": f"rollout-{request.rollout_id}"}
        return {"caching": True, "cache": {"use-cache": True, **namespace}}
    if getattr(litellm, "cache", None) is not None and (request.fresh or request.rollout_id is not None):
        return {"caching": False, "cache": {"no-cache": True, "no-store": True}}
    return {}


def import_for_cache() -> None:
    """Import, in a worker, what litellm imports at its first cache hit.

    That is its proxy, for one class that it compares with, and so fails where the proxy's
    packages are not installed. Then a class of that name, which nothing is an instance of,
    stands in its place.
    """
    name = next(filter(_is_there, _ON_A_HIT), None)
    if name is None:
        return
    try:
        importlib.import_module(name)
    except ImportError:
        stand_in = ModuleType(name)
        vars(stand_in)["CachedAnthropicMessagesStreamIterator"] = type("CachedAnthropicMessagesStreamIterator", (), {})
        sys.modules.setdefault(name, stand_in)


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # nor is the package that it would be in
        return False


async def let_it_write() -> None:
    """Give litellm the turns in which its own tasks put a reply into a cache in memory.

    Else the same request right after would miss it. A cache across a network takes its time.
    """
    for _ in range(20):
        await asyncio.sleep(0)


def from_litellms_cache(response: Any) -> bool:
    """Whether a response or stream came from the cache."""
    if getattr(response, "custom_llm_provider", None) == "cached_response":
        return True
    hidden = getattr(response, "_hidden_params", None)
    return isinstance(hidden, dict) and bool(hidden.get("cache_hit"))
