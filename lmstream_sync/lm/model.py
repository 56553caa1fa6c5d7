"""`LM`: one model with its options, asked from any thread.

An LM is cheap and holds no connection: those belong to the loop, keyed by endpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from lmstream_sync.callbacks import HookedCall, watching
from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.arguments import (
    as_key,
    as_messages,
    check_api_base,
    check_messages,
    check_number,
    check_options,
    check_retries,
    without_dspys,
)
from lmstream_sync.lm.asking import Asked, ask_engine
from lmstream_sync.lm.cache import cache_in_force, cache_key
from lmstream_sync.lm.direct_choice import check_direct, is_plain
from lmstream_sync.lm.direct_engine import DirectEngine
from lmstream_sync.lm.engine import Engine, LMRequest, Reply, Tap
from lmstream_sync.lm.history import HISTORY_SIZE, history_entry, shown
from lmstream_sync.lm.litellm_engine import LitellmEngine
from lmstream_sync.lm.secrets import hide, public, reveal
from lmstream_sync.lm.tap import direct_tap
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.timeout import Timeout

__all__ = ["LM"]

T = TypeVar("T")

# One of each serves all LMs: they hold nothing of theirs.
_litellm_engine = LitellmEngine()
_direct_engine = DirectEngine()

_ENGINES = ("auto", "litellm", "direct")
_NOT_PER_REQUEST = ("model", "engine")


class LM:
    """A language model.

    Args:
        model: provider and model in litellm's words, `"openai/gpt-4o-mini"`.
        api_key: the provider's key; without it the provider's environment variable counts.
        api_base: the URL of an endpoint of your own, up to and with `/v1`.
        temperature: as the provider takes it; `None` leaves it to the provider.
        max_tokens: the longest reply, in tokens; `None` leaves it to the provider.
        cache: whether replies are kept. A hit comes at once and streams no chunks.
        cache_in_memory: false leaves the keeping to litellm's own cache (the one you set,
            else a local one); its replies stream.
        num_retries: how often a request is sent again that failed before its first token.
        timeout: a `Timeout`, or a number of seconds for its `total`.
        engine: `"direct"` speaks OpenAI's chat completions itself, `"litellm"` reaches every
            provider; `"auto"` chooses: direct where the provider is known to be plain and nothing
            is asked for that is litellm's. The attribute says which one serves.
        callbacks: `BaseCallback` objects for this model alone.
        **kwargs: anything else that the provider takes (`top_p`, `extra_headers`, ...), and
            `rollout_id`, which is part of the cache key and never sent.

    Attributes:
        history: the last few requests, as dicts without keys, the newest last.

    Raises:
        ConfigurationError: the model is no text, a number is out of range, or the direct
            engine is asked for what it cannot do.
    """

    _options: Mapping[str, Any] = MappingProxyType({})  # until there are some: an error may show what is half made

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        api_base: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        cache: bool = True,
        cache_in_memory: bool = True,
        num_retries: int = 3,
        timeout: Timeout | float | None = None,
        engine: str = "auto",
        callbacks: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise ConfigurationError(f'LM({model!r}): name a model, for instance lms.LM("openai/gpt-4o-mini")')
        key, api_key = hide(api_key, "api_key"), None  # a debug page shows the locals of this frame
        check_retries(num_retries)
        if engine not in _ENGINES:
            raise ConfigurationError(f"LM(engine={engine!r}): give one of {', '.join(map(repr, _ENGINES))}")
        check_options(kwargs)
        check_api_base(reveal(api_base), reveal(kwargs.get("base_url")))
        check_number("temperature", temperature)
        check_number("max_tokens", max_tokens)
        self.model = model
        self.cache = cache
        self.cache_in_memory = cache_in_memory
        self.num_retries = num_retries
        self.timeout = Timeout.of(timeout)
        self.callbacks: list[Any] = list(callbacks or ())
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY_SIZE)
        self._chosen_engine = engine
        given = {
            "api_key": as_key(key),
            "api_base": api_base,
            "temperature": temperature,
            "max_tokens": max_tokens,
            **without_dspys(kwargs),
        }
        self._options = hide({name: value for name, value in given.items() if value is not None})
        if engine == "direct":
            check_direct(self._asked([], {}, None).request)

    @property
    def engine(self) -> str:
        """The name of the engine that serves this LM, `"direct"` or `"litellm"`.

        With `engine="auto"` a request whose own options or messages are litellm's affair is
        served by litellm all the same.
        """
        return self._engine_of(self._asked([], {}, None).request).name

    @property
    def kwargs(self) -> dict[str, Any]:
        """The options that go with every request, without secrets."""
        return public(self._options)

    def __call__(
        self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **options: Any
    ) -> list[str]:
        """Ask, and wait for the answers: one text, or `n` of them.

        Args:
            prompt: what a user says; or
            messages: role/content dicts.
            **options: for this request only, over those of the LM.

        Raises:
            ConfigurationError: neither prompt nor messages, or both.
            StreamError: on the event-loop thread; use `acall` there.
            LMError: the request failed.
        """
        asked = as_messages(prompt, messages)
        return _texts(self.request(asked, options, self._direct_tap(), prompt=prompt))

    async def acall(
        self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **options: Any
    ) -> list[str]:
        """`__call__` for asynchronous code, on any loop."""
        asked = as_messages(prompt, messages)
        return _texts(await self.arequest(asked, options, self._direct_tap(), prompt=prompt))

    def request(
        self,
        messages: list[dict[str, Any]],
        options: Mapping[str, Any] | None = None,
        tap: Tap | None = None,
        *,
        prompt: str | None = None,
    ) -> Reply:
        """Ask from synchronous code; looks in the cache in this thread first.

        Args:
            messages: role/content dicts.
            options: for this request only.
            tap: sees the reply while it comes; the request is then a streamed one. A cache
                hit feeds no tap.
            prompt: what the caller was given, for callbacks and history.
        """
        crossing.check_stopped()
        asked = self._asked(messages, options, prompt)
        touch()
        watchers = watching("lm", self.callbacks)
        if not watchers:
            reply = self._answer(asked, tap)
        else:
            with HookedCall("lm", watchers, self, asked.shown()) as call:
                reply = self._answer(asked, tap)
                call.outputs = _texts(reply)
        touch()
        return reply

    async def arequest(
        self,
        messages: list[dict[str, Any]],
        options: Mapping[str, Any] | None = None,
        tap: Tap | None = None,
        *,
        prompt: str | None = None,
    ) -> Reply:
        """`request` for asynchronous code, on any loop."""
        await crossing.checkpoint()
        asked = self._asked(messages, options, prompt)
        del messages, options  # they have been copied, and a stream that is open holds this frame
        touch()
        watchers = watching("lm", self.callbacks)
        if not watchers:
            reply = self._from_cache(asked) or await self._ask_anywhere(asked, tap)
        else:
            with HookedCall("lm", watchers, self, asked.shown()) as call:
                await crossing.checkpoint()  # what the start hooks emitted goes out before the wait
                reply = self._from_cache(asked) or await self._ask_anywhere(asked, tap)
                call.outputs = _texts(reply)
        touch()
        return reply

    def remembered(
        self, messages: list[dict[str, Any]], options: Mapping[str, Any] | None, read: Callable[[Reply], T]
    ) -> T | None:
        """What `read` makes of the reply to a request where the cache in memory has it; `None` where it has not.

        Callbacks are not told. What `read` raises leaves no trace in the history.
        """
        asked = self._asked(messages, options, None)
        reply = self._kept(asked)
        if reply is None:
            return None
        made = read(reply)
        self._remember(asked, reply, None)
        return made

    async def prepare(self) -> None:
        """Import ahead what the first request would import; on any loop, any number of times."""
        engine = self._engine_of(self._asked([], {}, None).request)
        await crossing.arun(engine.prepare, name="warm_up")

    async def connect(self) -> None:
        """`prepare`, and open the connection that the first request will use; on any loop.

        Costs a harmless request (`GET /models`), whose failure is nobody's. Not every
        provider can be reached ahead; then nothing is opened.
        """
        asked = self._asked([], {}, None)
        engine = self._engine_of(asked.request)
        own = asked.timeout.connect if asked.timeout is not None else None

        async def ahead() -> None:
            await engine.prepare()
            await engine.connect(replace(asked.request, connect=own or Timeout().connect))

        await crossing.arun(ahead, timeout=asked.timeout, name="warm_up")

    def copy(self, **overrides: Any) -> LM:
        """A new LM with other arguments here and there, and an empty history.

        An override of `None` takes the option away.
        """
        arguments: dict[str, Any] = {
            "model": self.model,
            "cache": self.cache,
            "cache_in_memory": self.cache_in_memory,
            "num_retries": self.num_retries,
            "timeout": self.timeout,
            "engine": self._chosen_engine,
            "callbacks": self.callbacks,
            **self._options,
            **overrides,
        }
        return type(self)(**arguments)

    def inspect_history(self, n: int = 1) -> None:
        """Print the last `n` requests and their replies."""
        print(shown(list(self.history)[-n:] if n > 0 else ()))

    def __deepcopy__(self, memo: dict[int, Any]) -> LM:
        return self.copy()

    def __repr__(self) -> str:
        return f"LM({self.model!r}{''.join(f', {name}={value!r}' for name, value in self._options.items())})"

    def _direct_tap(self) -> Tap | None:
        make = direct_tap.get()
        return make(self) if make is not None else None

    def _asked(self, messages: list[dict[str, Any]], options: Mapping[str, Any] | None, prompt: str | None) -> Asked:
        check_messages(messages)
        # The caller may go on with his list: what was sent is sent again by a retry, and stands in the history.
        sent = [dict(message) for message in messages]
        merged = dict(self._options)
        if options:
            for name in _NOT_PER_REQUEST:
                if name in options:
                    raise ConfigurationError(f"{name}= belongs to the LM, not to one request; use lm.copy({name}=...)")
            check_options(options)
            more = hide(dict(options))
            if "api_key" in more:
                more["api_key"] = as_key(more["api_key"])
            merged.update(more)
            merged = {name: value for name, value in merged.items() if value is not None}
        timeout = merged.pop("timeout", None)
        retries = merged.pop("num_retries", self.num_retries)
        check_retries(retries)
        rollout_id = merged.pop("rollout_id", None)
        cache = bool(merged.pop("cache", self.cache))
        in_memory = bool(merged.pop("cache_in_memory", self.cache_in_memory))
        merged.pop("stream", None)
        own = Timeout.of(timeout) if timeout is not None else None
        return Asked(
            request=LMRequest(
                self.model,
                sent,
                merged,
                engine_cache=cache and not in_memory,
                fresh=not cache,
                rollout_id=rollout_id,
            ),
            prompt=prompt,
            key=cache_key(self.model, sent, merged, rollout_id) if cache and in_memory else None,
            retries=retries,
            timeout=own.over(self.timeout) if own is not None else self.timeout,
        )

    def _engine_of(self, request: LMRequest) -> Engine:
        """What serves a request: looked up where one is sent, not for a cache hit."""
        if self._chosen_engine == "litellm":
            return _litellm_engine
        if self._chosen_engine == "direct":
            check_direct(request)
            return _direct_engine
        return _direct_engine if is_plain(request) else _litellm_engine

    def _from_cache(self, asked: Asked) -> Reply | None:
        reply = self._kept(asked)
        if reply is not None:
            self._remember(asked, reply, None)
        return reply

    def _kept(self, asked: Asked) -> Reply | None:
        reply = cache_in_force().get(asked.key) if asked.key is not None else None
        if reply is not None:
            reply.cached, reply.usage, reply.price = True, {}, 0.0
        return reply

    def _answer(self, asked: Asked, tap: Tap | None) -> Reply:
        """Of the cache, or of the provider; in a thread that may wait."""
        reply = self._from_cache(asked)
        if reply is not None:
            return reply
        return crossing.run(
            lambda: ask_engine(self, asked, tap),
            instead="await lm.acall(...)",
            timeout=asked.timeout,
            name=f"a request to {self.model}",
        )

    def _ask_anywhere(self, asked: Asked, tap: Tap | None) -> Awaitable[Reply]:
        """Ask the provider, awaited on any loop: on ours there is nothing to cross."""
        if on_loop_thread():
            return ask_engine(self, asked, tap)
        return crossing.arun(
            lambda: ask_engine(self, asked, tap), timeout=asked.timeout, name=f"a request to {self.model}"
        )

    def _ended(self, asked: Asked, reply: Reply | None, error: Exception | None) -> None:
        """On the loop: the provider answered, or failed to."""
        if reply is not None and asked.key is not None and _says_something(reply):
            cache_in_force().put(asked.key, reply)
        self._remember(asked, reply, f"{type(error).__name__}: {error}" if error is not None else None)

    def _remember(self, asked: Asked, reply: Reply | None, error: str | None) -> None:
        self.history.append(
            history_entry(
                model=self.model,
                prompt=asked.prompt,
                messages=asked.request.messages,
                options=public(asked.request.options),
                outputs=_texts(reply) if reply is not None else [],
                usage=reply.usage if reply is not None else {},
                cost=reply.price if reply is not None and not callable(reply.price) else None,
                cached=reply.cached if reply is not None else False,
                error=error,
            )
        )


def _texts(reply: Reply) -> list[str]:
    return [choice.text for choice in reply.choices]


def _says_something(reply: Reply) -> bool:
    """Whether a reply is worth keeping: one without anything is a fault of the moment."""
    return any(each.text or each.reasoning or each.tool_calls or each.refusal for each in reply.choices)
