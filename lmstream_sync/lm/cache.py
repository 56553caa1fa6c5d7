"""The cache of whole replies in memory. The only file that knows cachetools."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any

from cachetools import LRUCache

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.engine import Choice, Reply
from lmstream_sync.lm.secrets import public
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.settings import settings

__all__ = ["LMRequestLRUCache", "cache_in_force", "cache_key"]


class LMRequestLRUCache:
    """Keeps whole replies in memory, the least recently used one leaving first.

    Safe from any thread. What it is given and gives is copied, so that no caller can
    change another's. `lms.configure(cache=...)` puts one in the place of the default.

    Args:
        maxsize: how many replies at most.
        max_bytes: how many bytes they may take together, `None` for no limit.

    Raises:
        ConfigurationError: a limit is not a positive number.
    """

    def __init__(self, maxsize: int = 10_000_000, max_bytes: int | None = None) -> None:
        for name, value in (("maxsize", maxsize), ("max_bytes", max_bytes)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"LMRequestLRUCache({name}={value!r}): give a positive whole number")
        self.maxsize = maxsize
        self.max_bytes = max_bytes
        # Guards `_replies`, whose every look-up reorders it.
        self._lock = ForkSafeLock()
        # Pickled: a copy each way at once, and a size that is known.
        if max_bytes is None:
            self._replies: LRUCache[str, bytes] = LRUCache(maxsize)
        else:
            self._replies = LRUCache(max_bytes, getsizeof=len)

    def get(self, key: str) -> Reply | None:
        """A copy of what is kept under a key (see `cache_key`), or `None`."""
        with self._lock:
            kept = self._replies.get(key)
        if kept is None:
            return None
        return _unpickled(kept)

    def put(self, key: str, reply: Reply) -> None:
        """Keep a copy of a reply; one larger than `max_bytes` is not kept."""
        kept = _pickled(reply)
        if self.max_bytes is not None and len(kept) > self.max_bytes:
            return
        with self._lock:
            self._replies[key] = kept
            while len(self._replies) > self.maxsize:
                self._replies.popitem()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._replies.clear()

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._replies

    def __len__(self) -> int:
        with self._lock:
            return len(self._replies)

    def __repr__(self) -> str:
        return f"LMRequestLRUCache(maxsize={self.maxsize}, max_bytes={self.max_bytes}; {len(self)} replies)"


_fields_of_reply = attrgetter(*(each.name for each in fields(Reply)))
_fields_of_choice = attrgetter(*(each.name for each in fields(Choice)))
_PRICE = [each.name for each in fields(Reply)].index("price")


def _pickled(reply: Reply) -> bytes:
    """A reply as its fields' values: objects take pickle four times as long, and so does what looks a price up."""
    if type(reply) is not Reply or not all(type(choice) is Choice for choice in reply.choices):
        return _dumps(reply)
    choices, *others = _fields_of_reply(reply)
    if callable(reply.price):
        others[_PRICE - 1] = _dumps(reply.price)
    return _dumps(([_fields_of_choice(choice) for choice in choices], *others))


def _unpickled(kept: bytes) -> Reply:
    made: Any = pickle.loads(kept)
    if type(made) is tuple:
        choices, *others = made
        made = Reply([Choice(*choice) for choice in choices], *others)
        if isinstance(made.price, bytes):
            made.price = partial(_looked_up, made.price)
    reply: Reply = made
    return reply


def _dumps(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _looked_up(price: bytes) -> float | None:
    """What something that looks a price up finds."""
    found: float | None = pickle.loads(price)()
    return found


_default = LMRequestLRUCache()


def cache_in_force() -> LMRequestLRUCache:
    """The one that `lms.configure(cache=...)` or `lms.context(cache=...)` set, or the process's own."""
    chosen = settings.cache
    if chosen is None:
        return _default
    if not callable(getattr(chosen, "get", None)) or not callable(getattr(chosen, "put", None)):
        raise ConfigurationError(f"cache={chosen!r}: give an lms.LMRequestLRUCache(...)")
    kept: LMRequestLRUCache = chosen
    return kept


def cache_key(model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], rollout_id: Any) -> str:
    """A digest of everything that may change the reply; no secret goes into it."""
    asked = {"model": model, "messages": messages, "options": public(options), "rollout_id": rollout_id}
    return hashlib.sha256(_canonical(asked).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON for what `json` does not know; what has no lasting text is its own and never hits."""
    if isinstance(value, type):
        schema = getattr(value, "model_json_schema", None)
        return [value.__module__, value.__qualname__, schema() if callable(schema) else None]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump()
    if isinstance(value, (set, frozenset)):
        return sorted(map(_canonical, value))
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    return f"{type(value).__qualname__}:{value!r}"


#: Text that is the same for what is the same.
_canonical = json.JSONEncoder(sort_keys=True, default=_plain, separators=(",", ":")).encode
