"""Which engine serves a request: the direct one where it would say what litellm says, else litellm.

Pure, but for a look at the environment, and at litellm where a program has imported it: its
callbacks, settings and stand-ins are the user's, and work only if litellm is asked.
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
from lmstream_sync.lm.secrets import Secret, is_secret_name

__all__ = ["check_direct", "is_plain"]

#: Options that mean something to litellm only, and nothing to an endpoint.
#: Source: litellm's `all_litellm_params`, with which `tests/lm/test_endpoints.py` compares them.
_NAMES = """
    acompletion aembedding aimg_generation allm_passthrough_route allow_client_keepalive_override
    allowed_model_region allowed_openai_params api_type assistant_continue_message async_call atext_completion
    attempted_targets azure base_model bos_token budget_duration cache_key caching caching_groups client client_id
    client_secret client_side_timeout complete_response completion_call_id configurable_clientside_auth_params
    cooldown_time custom_llm_provider custom_prompt_dict daily_reset_time data_residency default_api_key_rpm_limit
    default_api_key_tpm_limit disable_add_transform_inline_image_block drop_params enable_json_schema_validation
    enable_prompt_caching enable_tag_filtering ensure_alternating_roles eos_token failure_callback fastest_response
    final_prompt_value fireworks_forward_user_id force_timeout guardrails hf_model_name id initial_prompt_value
    input_callback itpm keepalive_seconds kubernetes_pod_discovery log_client_error_tracebacks logger_fn
    max_agentic_loops max_budget max_file_size_mb max_parallel_requests merge_reasoning_content_in_choices
    model_alias_map model_config model_file_id_mapping model_info model_list no-log order otpm output_vector_size
    preset_cache_key prompt_environment prompt_id prompt_label prompt_variables prompt_version
    provider_affinity_header provider_specific_header proxy_server_request region_name request_timeout
    responses_api_version retry_policy retry_strategy roles routing_strategy rpd rpm rust search_tool_name
    secret_fields self shared_session silent_model ssl_verify stream_chunk_size stream_response stream_timeout
    stream_timeout_by_service_tier success_callback supports_system_message tag_regex tags tenant_id text_completion
    thought_signature_in_tool_call_id tiered_pricing timeout_by_service_tier tpd tpm ttl turn_off_message_logging
    use_chat_completions_api use_client use_in_pass_through use_litellm_proxy use_xai_oauth user_continue_message
    verbose weight
"""
_LITELLM_ONLY = frozenset(_NAMES.split())

#: Whole families of them: accounts of clouds and of services that watch, prices, routers, other models to fall back on.
_LITELLM_FAMILIES = re.compile(
    r"^_|^(?:anthropic|arize|aws|azure|bedrock|chatgpt|dd|gcs|github_copilot|humanloop|langfuse|langsmith|litellm|mock"
    r"|newrelic|openai|posthog|s3|signoz|token_exchange|vertex|wandb|watsonx|weave)_"
    r"|_costs?(?:_|$)|^cost_per_|_uplift_multiplier|_router_|fallback"
)

#: Variables of the environment that litellm and its connections obey, and we do not, whatever they say:
#: litellm takes any value of `LITELLM_MODIFY_PARAMS` for true.
_LITELLM_VARIABLES = (
    "LITELLM_MODIFY_PARAMS",
    "LITELLM_USER_AGENT",
    "SSL_CERTIFICATE",
    "SSL_ECDH_CURVE",
    "SSL_SECURITY_LEVEL",
    "SSL_VERIFY",
)
#: Those that may also say no.
_LITELLM_SWITCHES = (
    "DISABLE_AIOHTTP_TRANSPORT",
    "DISABLE_AIOHTTP_TRUST_ENV",
    "EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER",
    "LITELLM_DROP_PARAMS",
    "LITELLM_HTTP2",
    "LITELLM_ROUTE_ALL_CHAT_OPENAI_TO_RESPONSES",
    "USE_LITELLM_PROXY",
)
_OFF = frozenset({"", "0", "f", "false", "n", "no", "off"})

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
    if said(*_LITELLM_VARIABLES) is not None or (said(*_LITELLM_SWITCHES) is not None and _is_switched_on()):
        return False
    return _litellm_is_untouched() and _are_plain(endpoint, request.messages)


def check_direct(request: LMRequest) -> None:
    """Refuse what the direct engine cannot serve, where it alone may.

    Raises:
        ConfigurationError: nobody says where the model is, or an option is litellm's, or is a secret that is not
            the endpoint's.
    """
    model, options = request.model, request.options
    if request.engine_cache:
        raise ConfigurationError(
            "LM(cache_in_memory=False, engine=\"direct\"): litellm's cache is litellm's; leave engine= out"
        )
    only = min(filter(_is_litellms, options), default=None)
    if only is not None:
        raise ConfigurationError(f'LM({only}=..., engine="direct"): only litellm knows this option; leave engine= out')
    # `True` is no secret: servers have options such as `ban_eos_token`.
    secrets = (name for name in filter(_is_foreign_secret, options) if not isinstance(options[name], bool))
    secret = min(secrets, default=None)
    if secret is not None:
        raise ConfigurationError(
            f'LM({secret}=..., engine="direct"): this has the name of a secret, and would be sent in the body; '
            "leave it out, or give it in extra_headers= or extra_body="
        )
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


@lru_cache(maxsize=1_000)
def _is_foreign_secret(name: str) -> bool:
    """Whether an option is named as a secret, and is not the one that an endpoint asks for."""
    return name != "api_key" and is_secret_name(name)


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


def _is_switched_on() -> bool:
    """Whether the environment says yes to something of litellm's."""
    return any((said(name) or "").strip().lower() not in _OFF for name in _LITELLM_SWITCHES)


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
