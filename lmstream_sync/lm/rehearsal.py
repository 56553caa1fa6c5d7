"""litellm's first call, gone through ahead with a provider that is not there.

litellm imports hundreds of modules inside its first `acompletion`; on the loop that would
hold up every stream. So its first calls go to a transport in memory, in a worker thread:
one streamed, one whole, one refused.

Knows litellm by the module object that it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

__all__ = ["import_the_largest", "local_cost_map", "rehearse"]

_CHUNK = (
    b'data: {"id":"0","object":"chat.completion.chunk","created":0,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"0","object":"chat.completion.chunk","created":0,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\ndata: [DONE]\n\n'
)
_WHOLE: dict[str, Any] = {
    "id": "0",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
_COST_MAP = "LITELLM_LOCAL_MODEL_COST_MAP"


# Most of what a first call imports, for where it cannot be gone through.
_LARGEST = (
    "openai.resources.chat.completions",
    "litellm.litellm_core_utils.default_encoding",
    "litellm._service_logger",
    "litellm.llms.litellm_proxy.chat.transformation",
    "litellm.llms.edenai.chat.transformation",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.custom_httpx.aiohttp_transport",
)

# What the first call of another provider than OpenAI imports besides: a few milliseconds in all.
_OF_PROVIDERS = (
    "litellm.llms.anthropic.completion.transformation",
    "litellm.llms.vertex_ai.context_caching.vertex_ai_context_caching",
    "litellm.llms.mistral.chat.transformation",
    "litellm.llms.hosted_vllm.chat.transformation",
    "tokenizers",
)


def import_the_largest() -> None:
    """Import by name most of what a first call imports, and what those of other providers do besides."""
    for name in (*_LARGEST, *_OF_PROVIDERS):
        with contextlib.suppress(Exception):  # another version of litellm may not have it
            importlib.import_module(name)


@contextlib.contextmanager
def local_cost_map() -> Iterator[None]:
    """While litellm is imported: its own table of prices, and no look-up in the network."""
    if _COST_MAP in os.environ:
        yield
        return
    os.environ[_COST_MAP] = "True"
    try:
        yield
    finally:
        os.environ.pop(_COST_MAP, None)


def rehearse(litellm: ModuleType, internal_call: ContextVar[bool] | None) -> None:
    """Go through the first calls; what goes wrong here will be heard of at a real call.

    Args:
        litellm: the module.
        internal_call: litellm's mark of calls whose end is not logged.
    """
    if asyncio._get_running_loop() is not None:
        return  # under gevent all threads are one, and a second loop cannot run in it
    with contextlib.suppress(Exception):
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_calls(litellm, internal_call))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


async def _calls(litellm: ModuleType, internal_call: ContextVar[bool] | None) -> None:
    import httpx  # both came with litellm
    import openai

    if internal_call is not None:
        internal_call.set(True)

    async def provider(request: httpx.Request) -> httpx.Response:
        if b"refuse" in request.content:
            return httpx.Response(401, json={"error": {"message": "no", "code": "invalid_api_key"}})
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=_CHUNK)
        return httpx.Response(200, json=_WHOLE)

    transport = httpx.MockTransport(provider)
    http: Any = httpx.AsyncClient(transport=transport)  # newer releases of openai name another class and take this
    async with http:
        client = openai.AsyncOpenAI(
            api_key="none", base_url="http://rehearsal.invalid", http_client=http, max_retries=0
        )
        # The function of litellm's own module: a user's stand-in must not hear of this.
        ask: Any = litellm.main.acompletion
        common: dict[str, Any] = {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "x"}],
            "client": client,
            "num_retries": 0,
            "max_retries": 0,
            "timeout": httpx.Timeout(None, connect=10.0),
            "no-log": True,
        }
        with contextlib.suppress(Exception):
            async for _ in await ask(**common, stream=True, stream_options={"include_usage": True}):
                pass
        with contextlib.suppress(Exception):
            await ask(**common)
        with contextlib.suppress(Exception):
            await ask(**{**common, "messages": [{"role": "user", "content": "refuse"}]})
    with contextlib.suppress(Exception):
        litellm.cost_per_token(model="gpt-4o-mini", prompt_tokens=1, completion_tokens=1)
    # What its real transport needs, and the certificates, which take long to load.
    with contextlib.suppress(Exception):
        litellm.OpenAIChatCompletion._get_async_http_client()
