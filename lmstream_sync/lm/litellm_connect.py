"""A connection opened ahead, by the very HTTP client that the next request will use.

Only for providers that litellm reaches through the openai package; its clients are kept by
key, endpoint and limits, so these must be the same as at a request.

Knows litellm by the module object that it is given.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import ModuleType
from typing import Any

from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.foreign_logs import scrubbed_logs
from lmstream_sync.lm.litellm_quiet import no_banners
from lmstream_sync.lm.secrets import reveal

__all__ = ["connect_ahead", "http_timeout"]


def http_timeout(request: LMRequest) -> Any:
    """The limits handed to the HTTP client: that for connecting, and no other."""
    import httpx  # litellm has brought it

    return httpx.Timeout(None, connect=request.connect)


async def connect_ahead(litellm: ModuleType, request: LMRequest) -> None:
    """Ask the endpoint for its list of models, which leaves an open connection behind.

    What it answers does not matter, and what goes wrong will be heard of at a real request.
    """
    with suppress(Exception), no_banners(), scrubbed_logs(request.options):
        client = _client(litellm, request)
        if client is not None:
            await client.with_options(timeout=request.connect).get("/models", cast_to=object)


def _client(litellm: ModuleType, request: LMRequest) -> Any:
    """litellm's own client for such a request; `None` where the openai package is not the way."""
    options = reveal(request.options)
    _, provider, key, base = litellm.get_llm_provider(
        model=request.model,
        api_base=options.get("api_base") or options.get("base_url"),
        api_key=options.get("api_key"),
    )
    if provider != "openai" and provider not in litellm.openai_compatible_providers:
        return None
    organization = options.get("organization") or litellm.organization or os.environ.get("OPENAI_ORGANIZATION")
    if provider == "openai":
        key = key or options.get("api_key") or litellm.api_key or litellm.openai_key or os.environ.get("OPENAI_API_KEY")
        base = base or options.get("api_base") or litellm.api_base
        base = base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        base = base or "https://api.openai.com/v1"
    return litellm.main.openai_chat_completions._get_openai_client(
        is_async=True,
        api_key=key,
        api_base=base,
        timeout=http_timeout(request),
        max_retries=0,
        organization=organization or None,
    )
