"""The cache of whole replies in memory. The only file that knows cachetools."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any

from cachetools import LRUCache

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.engine import Choice, Reply
from lmstream_sync.lm.json_decoding import ordered_json
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
        # Pickled: a copy each way at once, and a size that is known. Where the size does not matter, a reply
        # of texts and numbers alone is kept as the tuple of these, which nobody can change.
        if max_bytes is None:
            self._replies: LRUCache[str, Any] = LRUCache(maxsize)
        else:
            self._replies = LRUCache(max_bytes, getsizeof=len)

    def get(self, key: str) -> Reply | None:
        """A copy of what is kept under a key (see `cache_key`), or `None`."""
        with self._lock:
            kept = self._replies.get(key)
        if kept is None:
            return None
        return _reply_of(kept)

    def put(self, key: str, reply: Reply) -> None:
        """Keep a copy of a reply; one larger than `max_bytes` is not kept."""
        kept = _kept(reply, as_bytes=self.max_bytes is not None)
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


def _kept(reply: Reply, *, as_bytes: bool) -> Any:
    """A reply as its fields' values, pickled where one may be changed: objects take pickle four times as long."""
    if type(reply) is not Reply or not all(type(choice) is Choice for choice in reply.choices):
        return _dumps(reply)
    choices, *others = _fields_of_reply(reply)
    if callable(reply.price):
        others[_PRICE - 1] = _dumps(reply.price)  # what looks a price up takes as long
    record = (tuple(_fields_of_choice(choice) for choice in choices), *others)
    if as_bytes or any(choice.tool_calls or choice.provider_fields for choice in choices):
        return _dumps(record)
    return (record[0], tuple(reply.usage.items()), *record[2:]) if _is_flat(reply.usage) else _dumps(record)


def _is_flat(usage: Mapping[str, Any]) -> bool:
    return all(value is None or isinstance(value, (str, int, float)) for value in usage.values())


def _reply_of(kept: Any) -> Reply:
    """A reply of what `_kept` gave."""
    if type(kept) is tuple:
        choices, usage, *others = kept
        made = Reply(
            [Choice(text, why, end, [], refusal, index) for text, why, end, _, refusal, index, _ in choices],
            dict(usage),
            *others,
        )
    else:
        loaded: Any = pickle.loads(kept)
        if type(loaded) is not tuple:
            whole: Reply = loaded
            return whole
        choices, *others = loaded
        made = Reply([Choice(*choice) for choice in choices], *others)
    if isinstance(made.price, bytes):
        made.price = partial(_looked_up, made.price)
    return made


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
    return hashlib.sha256(_canonical((model, messages, public(options), rollout_id))).hexdigest()


def _plain(value: Any) -> Any:
    """JSON for what `json` does not know; what has no lasting text is its own and never hits."""
    if isinstance(value, type):
        schema = getattr(value, "model_json_schema", None)
        return [value.__module__, value.__qualname__, schema() if callable(schema) else None]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump()
    if isinstance(value, (set, frozenset)):
        return sorted(_canonical(each).decode() for each in value)
    if isinstance(value, bytes):
        return value.hex()
    return f"{type(value).__qualname__}:{value!r}"


_canonical = ordered_json(_plain)
