"""What is switched off in litellm, each per call or per wrapper, so that litellm beside us,
and the callbacks and settings that a user gave it, stay as they are.

Knows litellm by the module object that it is given.
"""

from __future__ import annotations

import builtins
import contextlib
import datetime
import uuid
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from lmstream_sync.callbacks import put_back

__all__ = ["cache_keeps", "hush_wrapper", "no_banners", "nobody_listens", "silence_banners", "unpriced_start"]

_LISTENERS = (
    "callbacks",
    "success_callback",
    "failure_callback",
    "input_callback",
    "service_callback",
    "_async_success_callback",
    "_async_failure_callback",
    "_async_input_callback",
)
_OPTIONS_THAT_LISTEN = ("callbacks", "success_callback", "failure_callback", "logger_fn", "guardrails")

_banners_off: ContextVar[bool] = ContextVar("lmstream_sync_banners_off", default=False)


def nobody_listens(litellm: ModuleType, options: Mapping[str, Any]) -> bool:
    """Whether no callback that a user gave litellm needs to hear of a call."""
    if any(options.get(name) for name in _OPTIONS_THAT_LISTEN):
        return False
    # A cache of litellm's puts its own name among the callbacks.
    return all(listener == "cache" for name in _LISTENERS for listener in getattr(litellm, name, None) or ())


def cache_keeps(litellm: ModuleType, options: Mapping[str, Any]) -> bool:
    """Whether litellm's cache keeps the reply to a call."""
    cache = getattr(litellm, "cache", None)
    return cache is not None and options.get("caching") is not False and bool(cache.should_use_cache(**options))


class _Unkept(str):
    """A text that does not grow.

    litellm adds every piece to `response_uptil_now`, which copies the whole each time, for
    rules and fall-backs that are not in use here.
    """

    def __add__(self, other: str) -> _Unkept:
        return self


class _UsageOnly(list[Any]):
    """Keeps of all chunks those that report usage; nobody reads the others."""

    def append(self, chunk: Any) -> None:
        if getattr(chunk, "usage", None) is not None:
            super().append(chunk)


def hush_wrapper(litellm: ModuleType, wrapper: Any, quiet: bool) -> None:
    """Switch off, on one stream wrapper, what we do not want of it.

    The guard against repeated chunks always: it would end a table for its dashes. Where
    nobody listens, also the log of the whole reply, for which each stream would keep every
    chunk, start a thread at its end and count its tokens anew.
    """
    wrapper.raise_on_model_repetition = _nothing
    if not quiet:
        return
    wrapper.chunks = _UsageOnly()
    if not getattr(litellm, "post_call_rules", None):
        wrapper.response_uptil_now = _Unkept()
    fail = getattr(wrapper, "_handle_stream_fallback_error", None)
    if fail is not None:
        wrapper._log_stream_failure_and_raise = fail


@contextlib.contextmanager
def unpriced_start(litellm: ModuleType, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What to ask `acompletion` for a stream that nobody listens to, in the place of `asked`.

    For its log litellm looks up what a stream cost before anything of it came. That takes 0.4 ms,
    and a call with 20 named arguments, of which CPython 3.11 keeps 200 bytes (python/cpython#121439),
    for up to 2,000 streams. litellm takes a log made ahead, as its proxy makes one: here it finds no
    price while it waits for the stream.
    """
    log = None
    # What stands in for `acompletion` is asked as it always was.
    if str(getattr(litellm.acompletion, "__module__", "")).startswith("litellm."):
        with contextlib.suppress(Exception):  # litellm makes the log itself, and says what is wrong
            now, named = datetime.datetime.now(), {"litellm_call_id": str(uuid.uuid4()), **asked}
            log, asked = litellm.utils.function_setup("acompletion", litellm.utils.Rules(), now, **named)
            log.response_cost_calculator = _no_price
            asked = {**asked, "litellm_logging_obj": log}
    try:
        yield asked
    finally:
        if log is not None:
            vars(log).pop("response_cost_calculator", None)


def _no_price(*_: Any, **__: Any) -> float:
    """What litellm finds, of a stream that has not begun."""
    return 0.0


def _nothing() -> None:
    """In the place of the guard."""


def silence_banners(module: ModuleType) -> None:
    """Let a module of litellm's print its "Give Feedback" lines, but not for calls of ours.

    Its own switch, `suppress_debug_info`, is the user's, and the whole process's.
    """

    def printed(*values: Any, **options: Any) -> None:
        if not _banners_off.get():
            builtins.print(*values, **options)

    if "print" not in vars(module):
        vars(module)["print"] = printed


@contextlib.contextmanager
def no_banners() -> Iterator[None]:
    """In this context litellm prints no banners."""
    token = _banners_off.set(True)
    try:
        yield
    finally:
        put_back(_banners_off, token)
