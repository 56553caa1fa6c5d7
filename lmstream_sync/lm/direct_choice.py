"""Which engine serves a request: the direct one where it would say what litellm says, else litellm.

Pure, but for a look at litellm where a program has imported it: its callbacks, settings and
stand-ins are the user's, and work only if litellm is asked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.endpoints import Endpoint, base_of, endpoint_of, may_lack_version, said, takes_completion_tokens
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.litellm_quiet import nobody_listens
from lmstream_sync.lm.secrets import Secret

__all__ = ["check_direct", "is_plain"]

#: Options that mean something to litellm only, and nothing to an endpoint.
_LITELLM_ONLY = frozenset(
    {
        "allowed_openai_params",
        "api_type",
        "base_model",
        "caching",
        "client",
        "custom_llm_provider",
        "custom_prompt_dict",
        "drop_params",
        "failure_callback",
        "input_callback",
        "logger_fn",
        "mock_response",
        "model_info",
        "model_list",
        "region_name",
        "request_timeout",
        "retry_policy",
        "retry_strategy",
        "rpm",
        "shared_session",
        "ssl_verify",
        "stream_timeout",
        "success_callback",
        "tiered_pricing",
        "tpm",
        "use_litellm_proxy",
    }
)

#: Whole families of them: accounts of clouds that have a format of their own, prices, other models to fall back on.
_LITELLM_FAMILIES = re.compile(r"^(?:aws|azure|litellm|vertex|watsonx)_|_costs?(?:_|$)|^cost_per_|fallback")

#: Variables of the environment that litellm's connections obey, and ours do not.
_LITELLM_VARIABLES = ("SSL_VERIFY", "SSL_CERTIFICATE", "SSL_SECURITY_LEVEL")

#: OpenAI's models that answer elsewhere than at chat completions, or take no system message;
#: litellm knows which.
_ELSEWHERE = re.compile(
    r"^responses/|^o\d|-pro(?:-|$)|codex|deep-research|computer-use|instruct|davinci|babbage|daybreak|rosalind"
)
#: What OpenAI's models that reason take as it stands; of the rest litellm knows what they refuse.
_OF_REASONING = frozenset(
    {
        "api_base",
        "api_key",
        "base_url",
        "extra_body",
        "extra_headers",
        "headers",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "organization",
        "response_format",
        "seed",
        "service_tier",
        "user",
        "verbosity",
    }
)

_PLAIN_MESSAGE = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})
_PLAIN_PARTS = frozenset({"text", "image_url", "input_audio", "refusal"})

#: Settings of the module litellm that are the user's once they are set.
SETTINGS = (
    "aclient_session",
    "add_function_to_prompt",
    "api_base",
    "api_key",
    "api_version",
    "client_session",
    "context_window_fallbacks",
    "credential_list",
    "custom_provider_map",
    "default_fallbacks",
    "disable_aiohttp_transport",
    "drop_params",
    "fallbacks",
    "force_ipv4",
    "headers",
    "model_alias_map",
    "model_fallbacks",
    "modify_params",
    "network_mock",
    "openai_key",
    "openrouter_key",
    "organization",
    "post_call_rules",
    "pre_call_rules",
    "project",
    "route_all_chat_openai_to_responses",
    "secret_manager_client",
    "ssl_certificate",
    "ssl_security_level",
    "use_litellm_proxy",
)


def is_plain(request: LMRequest) -> bool:
    """Whether the direct engine sends a request as litellm would; without messages, whether it may."""
    options = request.options
    prefix, endpoint, name = endpoint_of(request.model)
    if request.engine_cache or endpoint is None or not endpoint.plain.issuperset(options):
        return False
    given = options.get("api_base") or options.get("base_url")
    base = base_of(endpoint, given.reveal() if isinstance(given, Secret) else given)
    if base is None or (endpoint.only_versioned and (not given or may_lack_version(base))):
        return False
    if prefix == "openai" and not _is_plain_of_openai(name, options):
        return False
    if isinstance(options.get("response_format"), type) or isinstance(options.get("reasoning_effort"), dict):
        return False
    if said(*_LITELLM_VARIABLES) is not None:
        return False
    return _litellm_is_untouched() and _are_plain(endpoint, request.messages)


def check_direct(request: LMRequest) -> None:
    """Refuse what the direct engine cannot serve, where it alone may.

    Raises:
        ConfigurationError: nobody says where the model is, or an option is litellm's.
    """
    model, options = request.model, request.options
    if request.engine_cache:
        raise ConfigurationError(
            "LM(cache_in_memory=False, engine=\"direct\"): litellm's cache is litellm's; leave engine= out"
        )
    only = min(filter(_is_litellms, options), default=None)
    if only is not None:
        raise ConfigurationError(f'LM({only}=..., engine="direct"): only litellm knows this option; leave engine= out')
    if isinstance(options.get("response_format"), type):
        raise ConfigurationError('LM(response_format=<a class>, engine="direct"): give its JSON schema as a dict')
    given = options.get("api_base") or options.get("base_url")
    if given is not None:
        return
    prefix, endpoint, _ = endpoint_of(model)
    if base_of(endpoint, None) is None:
        raise ConfigurationError(
            f'LM({model!r}, engine="direct"): say where it is with api_base=, up to and with /v1'
            + ("" if prefix else '; or name a provider that is known, as in "openai/gpt-4o-mini"')
        )


@lru_cache(maxsize=1_000)
def _is_litellms(name: str) -> bool:
    return name in _LITELLM_ONLY or _LITELLM_FAMILIES.search(name) is not None


def _is_plain_of_openai(name: str, options: Mapping[str, Any]) -> bool:
    if _ELSEWHERE.search(name):
        return False
    return not takes_completion_tokens("openai", name) or _OF_REASONING.issuperset(options)


def _are_plain(endpoint: Endpoint, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether litellm would leave these messages as they are."""
    whole_format = "stop" in endpoint.plain  # else only texts are known to be left alone
    for message in messages:
        if not _PLAIN_MESSAGE.issuperset(message) or (len(message) > 2 and not whole_format):
            return False
        content = message.get("content")
        if isinstance(content, str) or (whole_format and content is None):
            continue
        if not whole_format or not isinstance(content, list) or not all(map(_is_plain_part, content)):
            return False
    return True


def _is_plain_part(part: Any) -> bool:
    if not isinstance(part, Mapping) or len(part) > 2 or part.get("type") not in _PLAIN_PARTS:
        return False
    image = part.get("image_url", {})
    return isinstance(image, Mapping) and "format" not in image


def _litellm_is_untouched() -> bool:
    """Whether nothing of litellm's was set, or replaced, by the user."""
    litellm = sys.modules.get("litellm")
    if litellm is None:
        return True
    there = vars(litellm)
    ask = there.get("acompletion")
    if ask is None:  # being imported at this moment
        return True
    home = sys.modules.get(getattr(ask, "__module__", None) or "")
    if not getattr(home, "__name__", "").startswith("litellm") or getattr(home, "acompletion", None) is not ask:
        return False
    if any(there.get(name) for name in SETTINGS) or there.get("ssl_verify") is False:
        return False
    mode = getattr(there.get("cache"), "mode", None)
    # A cache that is asked only where a request says so is none of this request's affair: ours is one.
    if there.get("cache") is not None and getattr(mode, "value", mode) != "default_off":
        return False
    return nobody_listens(litellm, {})
