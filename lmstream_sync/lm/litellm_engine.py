"""The engine that reaches providers through litellm. The only file that imports it.

`litellm.acompletion` is looked up at each call, so that users' patches and proxies work.
What it gives may be litellm's stream wrapper, or anything that a stand-in makes of it; see
`litellm_chunks` for what is understood, `litellm_wire` for what lies beneath,
`litellm_quiet` for what is switched off and `litellm_warm` for the first import.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from lmstream_sync.callbacks import put_back
from lmstream_sync.errors import AuthenticationError, BadRequestError, LMError
from lmstream_sync.lm.endpoints import no_key_given
from lmstream_sync.lm.engine import Delta, LMRequest, Reply
from lmstream_sync.lm.failures import translated
from lmstream_sync.lm.foreign_logs import scrubbed_logs
from lmstream_sync.lm.litellm_cache import (
    NOTHING_SENT,
    cache_options,
    from_litellms_cache,
    import_for_cache,
    let_it_write,
)
from lmstream_sync.lm.litellm_chunks import is_whole, no_choices, whole_as_pieces, whole_reply
from lmstream_sync.lm.litellm_connect import connect_ahead, http_timeout
from lmstream_sync.lm.litellm_quiet import no_banners, nobody_listens, silence_banners, unpriced_start
from lmstream_sync.lm.litellm_stream import StreamReader, in_batches
from lmstream_sync.lm.litellm_wire import Wire
from lmstream_sync.lm.once import Once
from lmstream_sync.lm.rehearsal import import_the_largest, local_cost_map, rehearse
from lmstream_sync.lm.said_errors import error_in, failure_said
from lmstream_sync.lm.secrets import known_secrets, reveal
from lmstream_sync.runtime.loop import at_loop_end, end_first_at_exit, on_loop_thread
from lmstream_sync.runtime.threads import closing_unawaited

__all__ = ["LitellmEngine", "price_in_table", "raw_chunks"]

#: Sent where no key was given: the provider decides whether it wants one.
_NO_KEY = "no-key"

# What litellm and the openai package say when they, and no provider, want a key.
_KEY_MISSING = re.compile(r"api_key.{0,60}must be set|missing (credentials|[\w ]{0,30}api.?key)", re.IGNORECASE)

# Endpoints remembered for what they refuse: that many at most.
_MEMORY = 1_000


_module: ModuleType | None = None


def _import_litellm() -> ModuleType:
    global _module
    if _module is not None:
        return _module
    # Heavy (hundreds of modules, 1 s): on first use, never with our own import.
    with local_cost_map():
        import litellm
        from litellm.litellm_core_utils import exception_mapping_utils, get_llm_provider_logic

        for module in (exception_mapping_utils, get_llm_provider_logic):
            silence_banners(module)
    found: ModuleType = litellm
    _module = found
    # litellm registers a clean-up for exit, which wants no other loop to run, with the first
    # look-up of a name that it does not have at hand.
    getattr(found, "a_name_it_does_not_have", None)
    end_first_at_exit()
    return found


def _internal_call_flag() -> ContextVar[bool] | None:
    """litellm's own mark of a call whose end need not be logged; a context variable."""
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:  # another version of litellm: its logging stays on
        return None
    flag: ContextVar[bool] = is_internal_call
    return flag


def _first_use() -> None:
    # The openai package asks for this inside its first request, by a subprocess. Under gevent
    # that is a fork, which stands still for ever where a thread pool starts a thread at that
    # moment; here nothing else runs yet, and the answer is kept.
    platform.platform()
    litellm = _import_litellm()
    import_the_largest()
    if nobody_listens(litellm, {}):
        # Not where the user has callbacks: they would hear of calls nobody made.
        with no_banners():
            rehearse(litellm, _internal_call_flag())


def price_in_table(model: str, prompt: int, completion: int, cached: int) -> float | None:
    """US dollars for so many tokens by litellm's table, `None` where it does not know the model.

    litellm is imported where nobody has, and so are its parts for the model's provider: for
    that the event loop does not wait, and asked there the price is not known.
    """
    return None if on_loop_thread() else _price(model, prompt, completion, cached)


def _price(model: str, prompt: int, completion: int, cached: int) -> float | None:
    litellm = _import_litellm()
    try:
        parts = litellm.cost_per_token(
            model=model, prompt_tokens=prompt, completion_tokens=completion, cache_read_input_tokens=cached
        )
    except Exception:  # litellm has many ways to say that it does not know a model
        return None
    return float(sum(parts))


def _first_raw() -> None:
    # The name is looked up, and the class built, when the first object is made.
    _import_litellm().ModelResponseStream(choices=[{"index": 0, "delta": {"content": "x"}}])


async def raw_chunks() -> Callable[..., Any]:
    """`litellm.ModelResponseStream`, imported in a worker the first time."""
    await _raw_ready.wait()
    made: Callable[..., Any] = _import_litellm().ModelResponseStream
    return made


async def _close_clients() -> None:
    """At the loop's end: litellm keeps its HTTP clients by loop, and closes none."""
    if _module is None:
        return
    clients = getattr(_module.in_memory_llm_clients_cache, "cache_dict", {})
    ours = f"-{id(asyncio.get_running_loop())}"
    for key, client in list(clients.items()):
        if str(key).endswith(ours) and (close := getattr(client, "close", None)) is not None:
            clients.pop(key, None)
            with suppress(Exception):
                await close()


_ready = Once(_first_use)
_cache_ready = Once(import_for_cache)
_raw_ready = Once(_first_raw)
at_loop_end(_close_clients)


class LitellmEngine:
    """Speaks to every provider that litellm knows. One serves all LMs of a process."""

    name = "litellm"

    def __init__(self) -> None:
        self._refuses_usage: dict[tuple[str, str], None] = {}
        self._needs_no_key: dict[tuple[str, str], None] = {}

    async def prepare(self, *, raw: bool = False) -> None:
        """Import what the first request needs, in a worker, once a process; all pieces have their `raw`."""
        await _ready.wait()

    async def connect(self, request: LMRequest) -> None:
        """Open the connection that the next such request will use; whatever fails is left to that request."""
        await connect_ahead(_import_litellm(), request)

    async def stream(self, request: LMRequest) -> AsyncIterator[list[Delta]]:
        """Send a request and give its pieces; see `Engine.stream`.

        Raises:
            LMError: the request failed, or the reply broke off.
        """
        litellm = await self._ready_for(request)
        response = await self._answer(litellm, request, stream=True)
        if is_whole(response):
            yield whole_as_pieces(response, request.model, litellm.ModelResponseStream)
            return
        wire = Wire()
        reader = StreamReader(litellm, request, response, wire)
        failure: LMError | None = None
        try:
            batches = in_batches(await reader.open(), reader.read)
            try:
                async for deltas in batches:
                    yield deltas
            finally:
                await batches.aclose()
            if deltas := reader.finish():
                yield deltas
            failure = reader.judge()
            if request.engine_cache:
                await let_it_write()
        except Exception as error:
            failure = self._translated(error, request, begun=reader.begun, wire=wire, alone=not reader.has_text)
        finally:
            wire.hang_up()
            try:
                await _close(response)
            finally:
                reader.let_go()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame

    async def complete(self, request: LMRequest) -> Reply:
        """Send a request and wait for the whole reply.

        Raises:
            LMError: the request failed.
        """
        litellm = await self._ready_for(request)
        response = await self._answer(litellm, request, stream=False)
        if request.engine_cache:
            await let_it_write()
        failure: LMError | None = None
        reply, told = None, None
        try:
            told = error_in(response)
            if told is not None:
                failure = failure_said(told, request, begun=False)
            else:
                reply = whole_reply(response, request.model)
        except Exception as error:  # something in it nests too deep
            failure = self._translated(error, request, begun=False)
        if reply is None:
            del response, told
            try:
                raise failure or no_choices(request.model)
            finally:
                del failure
        if from_litellms_cache(response):
            reply.usage = dict(NOTHING_SENT)
        reply.price = self.price(request.model, reply.usage)
        return reply

    def price(self, model: str, usage: dict[str, Any]) -> float | None:
        """US dollars for a usage, from what the provider said or litellm's table; else `None`."""
        told = usage.pop("cost", None)
        if told is not None:
            return float(told)
        if not usage:
            return None
        return _price(model, usage["prompt_tokens"], usage["completion_tokens"], usage.get("cached_tokens", 0))

    async def _ready_for(self, request: LMRequest) -> ModuleType:
        litellm = _import_litellm()
        if request.engine_cache or getattr(litellm, "cache", None) is not None:
            await _cache_ready.wait()
        return litellm

    async def _answer(self, litellm: ModuleType, request: LMRequest, *, stream: bool) -> Any:
        """What `acompletion` gives, asked again without what this endpoint refuses."""
        endpoint = (request.model, str(request.options.get("api_base") or request.options.get("base_url") or ""))
        for _ in range(3):
            usage = stream and endpoint not in self._refuses_usage
            failure: LMError
            try:
                return await _send(litellm, request, stream, usage, endpoint in self._needs_no_key)
            except Exception as error:
                failure = self._translated(error, request, begun=False)
                keyless = endpoint in self._needs_no_key and not request.options.get("api_key")
                if keyless and isinstance(failure, AuthenticationError):
                    failure = self._translated(error, request, begun=False, look_at=no_key_given(request.model))
            if _wants_a_key_itself(failure) and endpoint not in self._needs_no_key:
                _remember(self._needs_no_key, endpoint)
            elif usage and _refuses_usage(failure):
                _remember(self._refuses_usage, endpoint)
            else:
                break
        try:
            raise failure
        finally:
            del failure

    def _translated(
        self,
        error: BaseException,
        request: LMRequest,
        *,
        begun: bool,
        wire: Wire | None = None,
        alone: bool = False,
        look_at: str | None = None,
    ) -> LMError:
        if isinstance(error, LMError):
            return error
        return translated(
            error,
            model=request.model,
            secrets=known_secrets(request.options),
            begun=begun,
            said=wire.error_said(alone=alone) if wire is not None else None,
            cut_off=wire is not None and wire.ended_inside_a_line,
            look_at=look_at,
        )


def _remember(seen: dict[tuple[str, str], None], endpoint: tuple[str, str]) -> None:
    if len(seen) >= _MEMORY:
        seen.pop(next(iter(seen)))
    seen[endpoint] = None


def _refuses_usage(error: LMError) -> bool:
    text = str(error)
    return isinstance(error, BadRequestError) and ("stream_options" in text or "include_usage" in text)


def _wants_a_key_itself(error: LMError) -> bool:
    """Whether it was no provider, but the library in between, that asked for a key."""
    return _KEY_MISSING.search(str(error)) is not None


async def _send(litellm: ModuleType, request: LMRequest, stream: bool, usage: bool, no_key: bool) -> Any:
    """The one place where secrets are revealed; no error of ours is raised from this frame."""
    options: dict[str, Any] = {**reveal(request.options), **cache_options(litellm, request)}
    options.pop("max_retries", None)
    if no_key and not options.get("api_key"):
        options["api_key"] = _NO_KEY
    if _names_functions_only(options.get("tools")) and _may_skip_mcp():
        # Else litellm imports, inside the request, the package `mcp`, which need not be there.
        options["_skip_mcp_handler"] = True
    if stream:
        options["stream"] = True
        given = options.get("stream_options")
        if usage:
            options["stream_options"] = {"include_usage": True, **(given or {})}
        elif given is not None:
            options["stream_options"] = {k: v for k, v in given.items() if k != "include_usage"} or None
    flag = _internal_call_flag() if nobody_listens(litellm, options) else None
    token = flag.set(True) if flag is not None else None
    try:
        with no_banners(), scrubbed_logs(request.options), closing_unawaited():
            what = dict(
                model=request.model,
                messages=[dict(message) for message in request.messages],
                timeout=http_timeout(request),
                num_retries=0,
                max_retries=0,
                **options,
            )
            unpriced = stream and flag is not None and getattr(litellm, "cache", None) is None
            with unpriced_start(litellm, what) if unpriced else nullcontext(what) as what:
                asked = litellm.acompletion(**what)
                # A stand-in may give its stream or response at once.
                return await asked if hasattr(asked, "__await__") else asked
    finally:
        if flag is not None and token is not None:
            put_back(flag, token)


def _names_functions_only(tools: Any) -> bool:
    return bool(tools) and all(isinstance(tool, dict) and tool.get("type") == "function" for tool in tools)


def _may_skip_mcp() -> bool:
    """Whether this litellm knows the option, and so keeps it from the provider."""
    from litellm.litellm_core_utils import core_helpers

    kept_back = getattr(core_helpers, "filter_internal_params", None)
    return kept_back is not None and kept_back({"_skip_mcp_handler": True}) == {}


async def _close(response: Any) -> None:
    """Close what is left of a stream, in the order in which it was made."""
    close = getattr(response, "aclose", None)
    if close is None:
        return
    with suppress(Exception):
        await close()
