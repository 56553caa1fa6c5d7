"""The engine that reaches providers through litellm. The only file that imports it.

`litellm.acompletion` is looked up at each call, so that users' patches and proxies work.
What it gives may be litellm's stream wrapper, or anything that a stand-in makes of it; see
`litellm_chunks` for what is understood, `litellm_wire` for what lies beneath,
`litellm_quiet` for what is switched off and `litellm_warm` for the first import.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from lmstream_sync.errors import BadRequestError, LMError, LMInterrupted, LMProtocolError
from lmstream_sync.lm.engine import Delta, LMRequest, Reply
from lmstream_sync.lm.failures import lm_error_for_status, translated
from lmstream_sync.lm.litellm_chunks import ChunkReader, is_whole, whole_reply
from lmstream_sync.lm.litellm_quiet import hush_wrapper, no_banners, nobody_listens, silence_banners
from lmstream_sync.lm.litellm_wire import NowOrLater, Pumped, Watched, Wire
from lmstream_sync.lm.once import Once
from lmstream_sync.lm.rehearsal import local_cost_map, rehearse
from lmstream_sync.lm.secrets import known_secrets, reveal, scrub
from lmstream_sync.runtime.loop import at_loop_end

__all__ = ["LitellmEngine"]

#: Deltas that cross as one list at most, however much one read brought.
LARGEST_BATCH = 64

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
    litellm = _import_litellm()
    if nobody_listens(litellm, {}):
        # Not where the user has callbacks: they would hear of calls nobody made.
        with no_banners():
            rehearse(litellm, _internal_call_flag())


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
at_loop_end(_close_clients)


class LitellmEngine:
    """Speaks to every provider that litellm knows. One serves all LMs of a process."""

    name = "litellm"

    def __init__(self) -> None:
        self._refuses_usage: dict[tuple[str, str], None] = {}
        self._needs_no_key: dict[tuple[str, str], None] = {}

    async def prepare(self) -> None:
        """Import what the first request needs, in a worker, once a process."""
        await _ready.wait()

    async def stream(self, request: LMRequest) -> AsyncIterator[list[Delta]]:
        """Send a request and give its pieces; see `Engine.stream`.

        Raises:
            LMError: the request failed, or the reply broke off.
        """
        litellm = _import_litellm()
        wire = Wire()
        response = await self._answer(litellm, request, stream=True)
        if is_whole(response):
            yield _whole_as_pieces(litellm, response, request)
            return
        wrapper = response if hasattr(response, "completion_stream") and hasattr(response, "__anext__") else None
        failure: LMError | None = None
        try:
            if wrapper is not None:
                source = await _prepared(litellm, wrapper, wire, request)
            else:
                source = response if hasattr(response, "__aiter__") else _pumped(response, request)
                wire.attach(source)
            reader = ChunkReader()
            iterator = source.__aiter__()
            batch: list[Delta] = []
            given: set[int] = set()
            while True:
                step = NowOrLater(_next(iterator))
                try:
                    if not step.now():
                        if batch:
                            yield batch
                            batch = []
                        chunk = await step
                    else:
                        chunk = step.result
                except GeneratorExit:
                    wire.hang_up()
                    await step.cancel()
                    raise
                except Exception as error:
                    failure = self._translated(error, request, begun=wire.begun)
                    break
                if chunk is _OVER:
                    break
                for delta in reader.read(chunk):
                    if delta.finish_reason:
                        given.add(delta.index)
                    batch.append(delta)
                if len(batch) >= LARGEST_BATCH:
                    yield batch
                    batch = []
                    await asyncio.sleep(0)  # a read of many chunks must not hold up the other streams
            if failure is None:
                batch.extend(reader.finish())
                batch.extend(_finish_reasons_left_out(wire, given))
                batch.extend(_usage_at_end(wrapper))
            if batch:
                yield batch
            if failure is None:
                if wire.whole_body()[0]:
                    yield _unlike_a_stream(litellm, wire, request)
                elif not wire.complete(_finish_reason(wrapper)):
                    failure = _broke_off(request, wire)
        finally:
            wire.hang_up()
            await _close(response)
            del response, wrapper
        if failure is not None:
            raise failure

    async def complete(self, request: LMRequest) -> Reply:
        """Send a request and wait for the whole reply.

        Raises:
            LMError: the request failed.
        """
        litellm = _import_litellm()
        response = await self._answer(litellm, request, stream=False)
        reply = whole_reply(response, request.model)
        if reply is None:
            raise LMProtocolError(
                f"{request.model}: the reply is not what it says it is: it has no choices", model=request.model
            )
        reply.cost = self.price(request.model, reply.usage)
        return reply

    def price(self, model: str, usage: dict[str, Any]) -> float | None:
        """US dollars for a usage, from what the provider said or litellm's table; else `None`."""
        told = usage.pop("cost", None)
        if told is not None:
            return float(told)
        litellm = _import_litellm()
        if not usage:
            return None
        try:
            parts = litellm.cost_per_token(
                model=model,
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"],
                cache_read_input_tokens=usage.get("cached_tokens", 0),
            )
        except Exception:  # litellm has many ways to say that it does not know a model
            return None
        return float(sum(parts))

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
            if _wants_a_key_itself(failure) and endpoint not in self._needs_no_key:
                _remember(self._needs_no_key, endpoint)
            elif usage and _refuses_usage(failure):
                _remember(self._refuses_usage, endpoint)
            else:
                break
        raise failure

    def _translated(self, error: BaseException, request: LMRequest, *, begun: bool) -> LMError:
        if isinstance(error, LMError):
            return error
        return translated(error, model=request.model, secrets=known_secrets(request.options), begun=begun)


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
    import httpx  # litellm has brought it

    options: dict[str, Any] = {**reveal(request.options), **_cache_options(litellm, request)}
    options.pop("max_retries", None)
    if no_key and not options.get("api_key"):
        options["api_key"] = _NO_KEY
    if stream:
        options["stream"] = True
        asked = options.get("stream_options")
        if usage:
            options["stream_options"] = {"include_usage": True, **(asked or {})}
        elif asked is not None:
            options["stream_options"] = {k: v for k, v in asked.items() if k != "include_usage"} or None
    flag = _internal_call_flag() if nobody_listens(litellm, options) else None
    token = flag.set(True) if flag is not None else None
    try:
        with no_banners():
            return await litellm.acompletion(
                model=request.model,
                messages=[dict(message) for message in request.messages],
                timeout=httpx.Timeout(None, connect=request.connect),
                num_retries=0,
                max_retries=0,
                **options,
            )
    finally:
        if flag is not None and token is not None:
            flag.reset(token)


def _cache_options(litellm: ModuleType, request: LMRequest) -> dict[str, Any]:
    """What tells litellm's cache whether this request is its business."""
    if request.engine_cache:
        if getattr(litellm, "cache", None) is None:
            # Asked only where a request says so: plain litellm beside us is not cached by it.
            vars(litellm)["cache"] = litellm.Cache(type="local", mode="default_off")
        namespace = {} if request.rollout_id is None else {"namespace": f"rollout-{request.rollout_id}"}
        return {"caching": True, "cache": {"use-cache": True, **namespace}}
    if getattr(litellm, "cache", None) is not None and (request.fresh or request.rollout_id is not None):
        return {"caching": False, "cache": {"no-cache": True, "no-store": True}}
    return {}


_OVER: Any = object()


async def _next(iterator: Any) -> Any:
    with no_banners():
        try:
            return await iterator.__anext__()
        except StopAsyncIteration:
            return _OVER


async def _prepared(litellm: ModuleType, wrapper: Any, wire: Wire, request: LMRequest) -> Any:
    """litellm's stream wrapper, with our eyes and ears in it."""
    quiet = nobody_listens(litellm, {**request.options, **_cache_options(litellm, request)})
    hush_wrapper(litellm, wrapper, quiet)
    if wrapper.completion_stream is None and getattr(wrapper, "make_call", None) is not None:
        await wrapper.fetch_stream()  # some providers' requests are sent with the first read
    inner = wrapper.completion_stream
    wire.attach(inner)
    if inner is not None and not isinstance(inner, (str, bytes)):
        if not hasattr(inner, "__aiter__"):
            inner = Pumped(inner)
        wrapper.completion_stream = Watched(inner, wire)
    original: Callable[..., Coroutine[Any, Any, Any]] | None = getattr(wrapper, "_finalize_completed_stream", None)
    if original is not None:

        async def ended(cache_hit: bool) -> Any:
            if not wrapper.sent_last_chunk:
                if wire.whole_body()[0] or not wire.complete(_finish_reason(wrapper)):
                    raise StopAsyncIteration  # before litellm invents a finish reason
            elif quiet:
                raise StopAsyncIteration
            return await original(cache_hit=cache_hit)

        wrapper._finalize_completed_stream = ended
    return wrapper


def _finish_reason(wrapper: Any) -> object:
    """What litellm read in the provider's chunks."""
    return getattr(wrapper, "received_finish_reason", None) or getattr(wrapper, "intermittent_finish_reason", None)


def _usage_at_end(wrapper: Any) -> list[Delta]:
    """The provider's usage, which litellm strips from the chunks and keeps for its log."""
    reported = [chunk for chunk in getattr(wrapper, "chunks", ()) if getattr(chunk, "usage", None) is not None]
    if not reported:
        return []
    with suppress(Exception):
        final = wrapper.model_response_creator()
        final.usage = reported[-1].usage
        deltas = ChunkReader().read(final)
        return [delta for delta in deltas if delta.usage]
    return []


def _pumped(response: Any, request: LMRequest) -> Pumped:
    if response is None or not (hasattr(response, "__iter__") or hasattr(response, "__next__")):
        raise LMProtocolError(
            f"{request.model}: litellm.acompletion gave {type(response).__name__}, which is no stream and no response",
            model=request.model,
        )
    return Pumped(response)


def _whole_as_pieces(litellm: ModuleType, response: Any, request: LMRequest) -> list[Delta]:
    """A whole response as the pieces of a stream, with raw chunks as a stream has them."""
    reply = whole_reply(response, request.model)
    if reply is None:
        raise LMProtocolError(
            f"{request.model}: the reply is not what it says it is: it has no choices", model=request.model
        )
    deltas: list[Delta] = []
    for choice in reply.choices:
        raw = litellm.ModelResponseStream(
            model=request.model,
            choices=[
                {
                    "index": choice.index,
                    "delta": {
                        "role": "assistant",
                        "content": choice.text,
                        "reasoning_content": choice.reasoning,
                        "tool_calls": [{"index": i, **call} for i, call in enumerate(choice.tool_calls)] or None,
                    },
                    "finish_reason": choice.finish_reason,
                }
            ],
        )
        deltas.append(
            Delta(
                content=choice.text,
                reasoning=choice.reasoning,
                index=choice.index,
                finish_reason=choice.finish_reason,
                tool_calls=tuple({"index": i, **call} for i, call in enumerate(choice.tool_calls)),
                refusal=choice.refusal,
                usage=reply.usage or None,
                raw=raw,
            )
        )
    return deltas


def _finish_reasons_left_out(wire: Wire, given: set[int]) -> list[Delta]:
    return [
        Delta(index=index, finish_reason=reason)
        for index, reason in wire.finish_reasons().items()
        if index not in given
    ]


def _unlike_a_stream(litellm: ModuleType, wire: Wire, request: LMRequest) -> list[Delta]:
    """What came where a stream was asked for: a whole response is taken, all else is an error."""
    _, body = wire.whole_body()
    if is_whole(body):
        return _whole_as_pieces(litellm, body, request)
    error = body.get("error") if isinstance(body, dict) else None
    if error is not None:
        code = error.get("code") if isinstance(error, dict) else None
        words = error.get("message") if isinstance(error, dict) else error
        status = int(code) if isinstance(code, (int, str)) and str(code).isdigit() else None
        kind = lm_error_for_status(status)
        said = scrub(str(words), known_secrets(request.options))
        raise kind(f"{request.model}: {said}", status_code=status, model=request.model)
    raise LMProtocolError(
        f"{request.model}: the reply is not what it says it is: a stream of events was asked for, and "
        f"{'JSON without choices' if body is not None else 'something else'} came; look at api_base",
        model=request.model,
    )


def _broke_off(request: LMRequest, wire: Wire) -> LMError:
    model = request.model
    if not wire.begun:
        return LMInterrupted(f"{model}: the reply broke off: the provider sent nothing", model=model)
    return LMInterrupted(
        f"{model}: the reply broke off: its stream ended with neither a finish reason nor [DONE]", model=model
    )


async def _close(response: Any) -> None:
    """Close what is left of a stream, in the order in which it was made."""
    close = getattr(response, "aclose", None)
    if close is None:
        return
    with suppress(Exception):
        await close()
