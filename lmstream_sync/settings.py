"""Process-wide settings, and what a thread or task puts over them for a while.

`configure` sets for the whole process, from any thread at any time, and is seen by the
next call. `context` puts values over them for the current thread or task only; they
travel with a call onto the event loop and into its worker threads, because they live in
a `contextvars` variable. This module knows nothing of the rest of the library.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

__all__ = ["Settings", "configure", "context", "settings"]

_DEFAULTS: dict[str, Any] = {
    "lm": None,
    "adapter": None,
    "callbacks": [],
    "trace": None,
    "track_usage": False,
    "async_max_workers": 8,
    "timeout": None,
    "queue_size": 32,
    "cache": None,
    "worker_hooks": (),
    "detach_grace": 10.0,
}

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_overrides: ContextVar[Mapping[str, Any]] = ContextVar("lmstream_sync_settings", default=_EMPTY)


class Settings:
    """The settings in force here: `settings.lm`, `settings["lm"]`, any key that was set.

    Known keys: `lm`, `adapter`, `callbacks`, `trace`, `track_usage`, `async_max_workers`
    (caps `asyncify` only), `timeout` (a `Timeout` or seconds), `queue_size` (events, 32),
    `cache` (an `LMRequestLRUCache`), `worker_hooks` (context-manager factories entered
    round each run of user code in a worker thread), `detach_grace` (seconds that detached
    streams have to end when the interpreter exits; `configure` only, 10). Any other key may
    be set and read.
    """

    _process: dict[str, Any]

    def __init__(self) -> None:
        # Changed by `dict.update` alone, one step under the interpreter lock: no lock of ours.
        object.__setattr__(self, "_process", dict(_DEFAULTS))

    def __getattr__(self, key: str) -> Any:
        overrides = _overrides.get()
        if key in overrides:
            return overrides[key]
        try:
            # Not `self._process`, for which a copy in the making would come here again.
            return vars(self)["_process"][key]
        except KeyError:
            raise AttributeError(
                f"no setting {key!r}; set it with lms.configure({key}=...) or lms.context({key}=...)"
            ) from None

    def __setattr__(self, key: str, value: Any) -> None:
        self.configure(**{key: value})

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.configure(**{key: value})

    def __contains__(self, key: str) -> bool:
        return key in _overrides.get() or key in self._process

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` where it was never set."""
        return getattr(self, key, default)

    @property
    def config(self) -> dict[str, Any]:
        """All keys and the values in force here, in a dict of one's own."""
        return {**self._process, **_overrides.get()}

    def copy(self) -> dict[str, Any]:
        """The same as `config`; DSPy has both names."""
        return self.config

    def override(self, key: str, default: Any = None) -> Any:
        """The value that `context` put over a key here, or `default` where it put none."""
        return _overrides.get().get(key, default)

    def process_wide(self, key: str, default: Any = None) -> Any:
        """The value that `configure` set for the process, whatever `context` says here."""
        return self._process.get(key, default)

    def configure(self, **values: Any) -> None:
        """Set keys for the whole process, from any thread at any time; the next call sees them."""
        self._process.update(values)

    @contextlib.contextmanager
    def context(self, **values: Any) -> Iterator[None]:
        """Set keys for this thread or task until the block is left.

        The calls that start inside the block keep them to their end.
        """
        before = _overrides.get()
        token = _overrides.set(MappingProxyType({**before, **values}))
        try:
            yield
        finally:
            # Key by key rather than by a token: blocks need not be left in the order in
            # which they were entered (fixtures, generators).
            now = dict(_overrides.get())
            for key in values:
                if key in before:
                    now[key] = before[key]
                else:
                    now.pop(key, None)
            # The collector may end a forgotten generator or coroutine that is inside the block, in
            # whatever context it finds; that one's settings are not ours to change. Only the token tells.
            with contextlib.suppress(ValueError):
                _overrides.reset(token)
                _overrides.set(MappingProxyType(now))

    def __repr__(self) -> str:
        return f"Settings({', '.join(sorted(self.config))})"


def _known(key: str) -> property:
    """A key as an attribute of the class: some are read in every call, and `__getattr__` comes only after a search."""

    def value(self: Settings) -> Any:
        overrides = _overrides.get()
        return overrides[key] if key in overrides else self._process[key]

    return property(value)


for _key in _DEFAULTS:
    setattr(Settings, _key, _known(_key))

settings = Settings()
configure = settings.configure
context = settings.context
# One object under both names: a method looked up anew is equal, but another object.
vars(settings).update(configure=configure, context=context)
