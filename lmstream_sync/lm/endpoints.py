"""The providers that speak OpenAI's chat completions plainly: where they are, and whose key they take.

A provider is here where its endpoint, its key's variable and its streams are those of the
wire format, so that the direct engine says to it what litellm would say. `plain` names the
options for which that holds; with others litellm rewrites the request for this provider.

Sources: the providers' documentation and litellm's table of providers, against which
`tests/lm/test_endpoints.py` checks every entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "ENDPOINTS",
    "Endpoint",
    "TRANSPORT",
    "base_of",
    "endpoint_of",
    "joined_to",
    "key_of",
    "may_lack_version",
    "no_key_given",
    "said",
    "takes_completion_tokens",
]

#: Options that say how and where a request goes, and are no part of its body.
TRANSPORT = frozenset(
    {"api_key", "api_base", "base_url", "api_version", "organization", "headers", "extra_headers", "extra_query"}
)
#: Taken by all under these names.
_COMMON = TRANSPORT | {"temperature", "max_tokens", "top_p"}
#: The format's own. Source: OpenAI, "Create chat completion".
_OPENAI = _COMMON | {
    "audio",
    "extra_body",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "stream_options",
    "tool_choice",
    "tools",
    "top_logprobs",
    "user",
    "verbosity",
}
#: What servers of one's own take besides. Source: vLLM, "OpenAI-compatible server", extra parameters.
_OWN_SERVERS = {
    "chat_template_kwargs",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "ignore_eos",
    "min_p",
    "min_tokens",
    "repetition_penalty",
    "skip_special_tokens",
    "stop_token_ids",
    "top_k",
}


class Endpoint(NamedTuple):
    """One provider.

    Attributes:
        base: the address up to and with its version, `None` where there is no public one.
        keys: environment variables that hold the key, the first that is set counts.
        bases: those that say another base.
        plain: the options that are sent as they are given.
        model_prefix: put before a model's name that has no `/`-path of this kind.
        body: sent with each request.
        asks_usage: whether it is asked to report usage in a stream; some do so unasked, and
            know no such option.
        only_versioned: another wire format is spoken where `api_base` has no version.
    """

    base: str | None
    keys: tuple[str, ...]
    bases: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset(_COMMON)
    model_prefix: str = ""
    body: Mapping[str, Any] = {}
    asks_usage: bool = True
    only_versioned: bool = False


_LOCAL = frozenset(_OPENAI | _OWN_SERVERS)

#: A model's prefix in litellm's words → its provider.
ENDPOINTS: Mapping[str, Endpoint] = {
    "openai": Endpoint(
        "https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE"), _LOCAL
    ),
    "hosted_vllm": Endpoint(
        None,
        ("HOSTED_VLLM_API_KEY",),
        ("HOSTED_VLLM_API_BASE",),
        _LOCAL - {"tools", "functions", "function_call"},
    ),
    "lm_studio": Endpoint(None, ("LM_STUDIO_API_KEY",), ("LM_STUDIO_API_BASE",), _LOCAL),
    # The addresses of litellm's own formats for Ollama have no version: only its `/v1` is meant here.
    "ollama": Endpoint(
        "http://localhost:11434/v1", ("OLLAMA_API_KEY",), ("OLLAMA_API_BASE",), _LOCAL, only_versioned=True
    ),
    "ollama_chat": Endpoint(
        "http://localhost:11434/v1", ("OLLAMA_API_KEY",), ("OLLAMA_API_BASE",), _LOCAL, only_versioned=True
    ),
    "groq": Endpoint("https://api.groq.com/openai/v1", ("GROQ_API_KEY",), ("GROQ_API_BASE",)),
    "deepseek": Endpoint("https://api.deepseek.com/beta", ("DEEPSEEK_API_KEY",), ("DEEPSEEK_API_BASE",)),
    "openrouter": Endpoint(
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY", "OR_API_KEY"),
        ("OPENROUTER_API_BASE",),
        body={"usage": {"include": True}},  # else it does not say what a reply cost
    ),
    "together_ai": Endpoint(
        "https://api.together.ai/v1",
        ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
        ("TOGETHER_AI_API_BASE",),
    ),
    "fireworks_ai": Endpoint(
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
        ("FIREWORKS_API_BASE",),
        model_prefix="accounts/fireworks/models/",
    ),
    "mistral": Endpoint(
        "https://api.mistral.ai/v1",
        ("MISTRAL_AZURE_API_KEY", "MISTRAL_API_KEY"),
        ("MISTRAL_AZURE_API_BASE",),
        asks_usage=False,
    ),
    "xai": Endpoint("https://api.x.ai/v1", ("XAI_API_KEY",), ("XAI_API_BASE",)),
    "cerebras": Endpoint("https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), ("CEREBRAS_API_BASE",), asks_usage=False),
    "nvidia_nim": Endpoint(
        "https://integrate.api.nvidia.com/v1", ("NVIDIA_NIM_API_KEY",), ("NVIDIA_NIM_API_BASE",), asks_usage=False
    ),
}

#: OpenAI's models that reason take the limit of a reply under another name.
#: Source: OpenAI, "Create chat completion", on `max_tokens`.
_REASONING_MODEL = re.compile(r"(?:^|/)(?:o\d|gpt-[56](?!-chat))")

_VERSION = re.compile(r"/v\d+\w*(?=/|$)")


@lru_cache(maxsize=1_000)
def endpoint_of(model: str) -> tuple[str | None, Endpoint | None, str]:
    """Prefix, provider and the model's own name; `None` twice, and the whole name, where it is not in the table."""
    prefix, slash, name = model.partition("/")
    endpoint = ENDPOINTS.get(prefix) if slash else None
    if endpoint is None:
        return None, None, model
    if endpoint.model_prefix and not name.startswith("accounts/") and "#" not in name:
        name = endpoint.model_prefix + name
    return prefix, endpoint, name


def base_of(endpoint: Endpoint | None, given: str | None) -> str | None:
    """The address that requests are made under: what was given, else the environment's, else the provider's."""
    if given:
        return given
    if endpoint is None:
        return None
    told = said(*endpoint.bases)
    if told and endpoint.only_versioned and may_lack_version(told):
        told = joined_to(told, "/v1")
    return told or endpoint.base


def key_of(endpoint: Endpoint | None) -> str | None:
    """The key in the environment."""
    return said(*endpoint.keys) if endpoint is not None else None


def no_key_given(model: str) -> str:
    """What to say where a request without a key was refused; goes before the provider's words."""
    endpoint = endpoint_of(model)[1]
    variable = f" or set {endpoint.keys[0]}" if endpoint is not None and endpoint.keys else ""
    return f"no key was given; give api_key={variable}: "


def said(*names: str) -> str | None:
    """The value of the first of these environment variables that is set, and not to nothing."""
    environ = os.environ
    # Most are not set, and asking for one of those takes `os.environ` 0.8 µs: what it keeps tells it in 0.1.
    kept = getattr(environ, "_data", None)
    for name in names:
        if (kept is None or _as_kept(name) in kept) and (value := environ.get(name)):
            return value
    return None


@lru_cache(maxsize=100)
def _as_kept(name: str) -> Any:
    """A variable's name as `os.environ` keeps it."""
    return os.environ.encodekey(name)


def joined_to(base: str, path: str) -> str:
    """A base address with a path added, once; its query stays behind it."""
    parts = urlsplit(base)
    front = parts.path.rstrip("/")
    if not front.endswith(path):
        front += path
    return urlunsplit((parts.scheme, parts.netloc, front, parts.query, ""))


def may_lack_version(base: str) -> bool:
    """Whether a base address names no version, as in `http://localhost:8000`."""
    path = urlsplit(base).path
    return _VERSION.search(path) is None and not path.rstrip("/").endswith("/chat/completions")


def takes_completion_tokens(prefix: str | None, name: str) -> bool:
    """Whether `max_tokens` is called `max_completion_tokens` here."""
    return prefix == "openai" and _REASONING_MODEL.search(name) is not None
