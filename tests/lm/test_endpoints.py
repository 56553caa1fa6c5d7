"""The table of providers, against litellm's own: where requests go, with whose key, and what they say."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest

from lmstream_sync.errors import ConfigurationError, LMError
from lmstream_sync.lm import LM
from lmstream_sync.lm.direct_choice import SETTINGS, _is_litellms, check_direct
from lmstream_sync.lm.direct_request import outgoing
from lmstream_sync.lm.endpoints import ENDPOINTS, base_of, endpoint_of, joined_to, key_of, may_lack_version
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.secrets import hide
from lmstream_sync.testing import ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
#: Whose addresses litellm reads elsewhere than in its table of providers, or speaks another format to.
ELSEWHERE = {"openai", "openrouter", "ollama", "ollama_chat"}
VARIABLES = [(name, variable) for name, endpoint in ENDPOINTS.items() for variable in endpoint.keys]


def provider_info(model: str) -> tuple[str | None, str | None]:
    """Key and base address by litellm."""
    import litellm

    _, _, key, base = litellm.get_llm_provider(model=model)
    return key, base


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name not in ELSEWHERE])
def test_base_addresses_are_litellms(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = ENDPOINTS[name]
    assert base_of(endpoint, None) == provider_info(f"{name}/m")[1]
    for variable in reversed(endpoint.bases):
        monkeypatch.setenv(variable, f"https://{variable.lower().replace('_', '-')}.example/v1")
        assert base_of(endpoint, None) == provider_info(f"{name}/m")[1] == os.environ[variable]


@pytest.mark.parametrize(("name", "variable"), [each for each in VARIABLES if each[0] not in ELSEWHERE])
def test_variables_of_keys_are_litellms(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "key-of-a-variable")
    assert key_of(ENDPOINTS[name]) == provider_info(f"{name}/m")[0] == "key-of-a-variable"


def sent(model: str, engine: str, options: dict[str, Any], *, streamed: bool = True) -> Any:
    with ScriptedServer("fine") as server:
        options = {"api_key": "k", "cache": False, **options}
        lm = LM(model, engine=engine, api_base=server.url, num_retries=0, **options)
        assert lm.engine == engine
        lm.request(ASKED, {}, RecordingTap() if streamed else None)
        return server.requests[0]


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENROUTER_API_KEY", "OR_API_KEY"])
def test_the_key_of_the_environment_is_sent_as_litellm_sends_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "key-of-a-variable")
    model = "openai/m" if variable.startswith("OPENAI") else "openrouter/a/m"
    for engine in ("direct", "litellm"):
        assert sent(model, engine, {"api_key": None}).headers["authorization"] == "Bearer key-of-a-variable"


def test_where_openai_is_may_be_said_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer("fine") as server:
        for variable in ("OPENAI_API_BASE", "OPENAI_BASE_URL"):
            monkeypatch.setenv(variable, server.url)
            for engine in ("direct", "litellm"):
                assert LM("openai/m", engine=engine, cache=False, api_key="k")("q") == ["fine"]
            monkeypatch.setenv(variable, "http://127.0.0.1:9/v1")
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert server.request_count == 4


COMMON = {"temperature": 0.5, "max_tokens": 9, "top_p": 0.5}
FORMAT: dict[str, Any] = {
    **COMMON,
    "n": 1,
    "seed": 3,
    "stop": ["x"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"5": 1},
    "response_format": {"type": "json_object"},
    "parallel_tool_calls": False,
    "extra_body": {"a": {"b": 1}},
}
TOOLS = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": "auto",
}
MODELS = {
    "openai/gpt-4o-mini": {**FORMAT, **TOOLS, "user": "u"},
    "openai/own-model": {**FORMAT, **TOOLS, "top_k": 5, "min_p": 0.1, "chat_template_kwargs": {"a": 1}},
    "openai/gpt-5-mini": {"max_tokens": 9, "seed": 3, "n": 1, "verbosity": "low", "response_format": {"type": "text"}},
    "hosted_vllm/Qwen/Qwen3-8B": {**FORMAT, "top_k": 5},
    "lm_studio/own": {**FORMAT, **TOOLS},
    **{f"{name}/some-model": COMMON for name in ENDPOINTS if name not in ("openai", "ollama", "ollama_chat")},
    "fireworks_ai/accounts/me/models/mine": COMMON,
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_what_is_said_is_what_litellm_says(model: str, streamed: bool) -> None:
    """Only the engine decides the way; the endpoint must not tell which one it was."""
    with ScriptedServer("fine") as server:
        options = {"api_base": server.url, "api_key": "k", "cache": False, "num_retries": 0, **MODELS[model]}
        assert LM(model, **options).engine == "direct"
        for engine in ("auto", "litellm"):
            with suppress(LMError):  # litellm 1.106 cannot read a whole reply of Groq's
                LM(model, engine=engine, **options).request(ASKED, {}, RecordingTap() if streamed else None)
        ours, theirs = server.requests
    bodies = [request.body for request in (ours, theirs)]
    for body in bodies:
        if not body.get("stream"):
            body.pop("stream", None)
        body.setdefault("stream_options", None)
    assert bodies[0] == bodies[1]
    assert ours.path == theirs.path
    assert ours.headers["authorization"] == theirs.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        ("http://h/v1", "/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/", "/chat/completions", "http://h/v1/chat/completions"),
        ("http://h", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/chat/completions", "/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/?api-version=1", "/chat/completions", "http://h/v1/chat/completions?api-version=1"),
    ],
)
def test_addresses_are_joined_once(base: str, path: str, joined: str) -> None:
    assert joined_to(base, path) == joined


def test_an_address_with_a_version_is_known() -> None:
    assert not any(map(may_lack_version, ["http://h/v1", "http://h/a/v1/", "http://h/v1beta/x", "http://h/api/v3?a=b"]))
    assert all(map(may_lack_version, ["http://h", "http://v1.h/", "http://h/openai"]))


def prepared(model: str = "openai/m", **options: Any) -> Any:
    request = LMRequest(model, ASKED, hide({"api_base": "http://h/v1", **options}))
    return outgoing(request, path="/chat/completions", stream=False, usage=False)


def test_queries_headers_and_users_go_where_they_belong() -> None:
    out = prepared(api_base="http://me:p%40w@h/v1?key=abc", api_version="2024-10-21", extra_query={"a": "b c"})
    assert out.url == "http://h/v1/chat/completions?key=abc&a=b+c&api-version=2024-10-21"
    assert out.headers["Authorization"] == "Basic bWU6cEB3"
    out = prepared(
        api_key="k", organization="o", headers={"x-a": "1"}, extra_headers={"authorization": "mine", "X-A": 2}
    )
    assert {name.lower(): value for name, value in out.headers.items()} == {
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "lmstream_sync",
        "authorization": "mine",
        "openai-organization": "o",
        "x-a": "2",
    }


def test_no_key_of_openai_goes_to_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    for model in ("groq/m", "hosted_vllm/m", "unknown/m", "m"):
        assert "Authorization" not in prepared(model).headers


def test_an_option_that_has_no_json_form_is_named() -> None:
    with pytest.raises(ConfigurationError, match="object has no JSON form"):
        prepared(extra_body={"a": object()})


# Which engine serves.

LITELLM = [
    {"model": "gpt-4o-mini"},
    {"model": "anthropic/claude-sonnet-4-5"},
    {"model": "azure/mine"},
    {"model": "lm_studio/m"},
    {"model": "ollama/m"},
    {"model": "ollama_chat/m", "api_base": "http://localhost:11434"},
    {"model": "openai/gpt-5-pro"},
    {"model": "openai/o3"},
    {"model": "openai/gpt-5-mini", "temperature": 0.5},
    {"model": "openai/responses/gpt-4o"},
    {"model": "openai/m", "cache_in_memory": False},
    {"model": "openai/m", "mock_response": "x"},
    {"model": "openai/m", "drop_params": True},
    {"model": "openai/m", "metadata": {"a": 1}},
    {"model": "openai/m", "custom_llm_provider": "openai"},
    {"model": "openai/m", "input_cost_per_token": 1},
    {"model": "openai/m", "response_format": LM},
    {"model": "groq/m", "tools": []},
    {"model": "mistral/m", "seed": 1},
]
DIRECT = [
    {"model": "openai/m"},
    {"model": "openai/gpt-5-mini", "max_tokens": 5},
    {"model": "hosted_vllm/m", "api_base": "http://h"},
    {"model": "ollama/m", "api_base": "http://localhost:11434/v1"},
    {"model": "groq/m", "temperature": 0},
]


@pytest.mark.parametrize("arguments", LITELLM, ids=str)
def test_auto_leaves_to_litellm_what_is_not_plain(arguments: dict[str, Any]) -> None:
    assert LM(**arguments).engine == "litellm"


@pytest.mark.parametrize("arguments", DIRECT, ids=str)
def test_auto_serves_the_rest(arguments: dict[str, Any]) -> None:
    assert LM(**arguments).engine == "direct"
    assert LM(engine="litellm", **arguments).engine == "litellm"


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "anthropic/claude-sonnet-4-5"},
        {"model": "gpt-4o-mini"},
        {"model": "lm_studio/m"},
        {"model": "openai/m", "cache_in_memory": False},
        {"model": "openai/m", "drop_params": True},
        {"model": "openai/m", "response_format": LM},
        {"model": "openai/m", "api_base": "http://h/v1", "base_url": "http://other/v1"},
    ],
    ids=str,
)
def test_what_the_direct_engine_cannot_is_said_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LM(engine="direct", **arguments)


@pytest.mark.parametrize(
    "name",
    ["vertex_project", "aws_region_name", "azure_ad_token", "input_cost_per_token", "output_cost_per_token"]
    + [
        "cache_read_input_token_cost",
        "cost_per_query",
        "fallbacks",
        "context_window_fallback_dict",
        "litellm_metadata",
    ],
)
def test_what_only_litellm_knows_is_refused_where_it_is_not_asked(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}=|does not exist yet"):
        LM("openai/m", engine="direct", api_base="http://h/v1", **{name: "x"})


def test_every_name_that_litellm_keeps_to_itself_is_refused() -> None:
    from litellm.types.utils import all_litellm_params

    # Of the wire format, ours, or sent by neither engine.
    known = ENDPOINTS["openai"].plain | {"metadata", "cache", "num_retries", "max_retries"}
    names = sorted({*all_litellm_params} - known)
    assert len(names) > 100
    assert [name for name in names if not is_refused({name: "x"})] == []


def is_refused(options: dict[str, Any]) -> bool:
    try:
        check_direct(LMRequest("openai/m", ASKED, hide(options)))
    except ConfigurationError:
        return True
    return False


@pytest.mark.parametrize(
    "name",
    ["langfuse_secret_key", "client_secret", "s3_secret_access_key", "arize_api_key", "openai_identity_token_file"]
    + ["my_service_token", "password", "authorization", "webhook_secret"],
)
def test_a_secret_that_is_no_key_of_the_endpoint_is_not_sent_to_it(name: str) -> None:
    with ScriptedServer("fine") as server:
        options: dict[str, Any] = {"api_base": server.url, "api_key": "k", "cache": False, "engine": "direct"}
        with pytest.raises(ConfigurationError, match=rf"LM\({name}=") as caught:
            LM("openai/m", **options, **{name: "secret-value-1"})
        with pytest.raises(ConfigurationError, match=rf"LM\({name}=") as later:
            LM("openai/m", **options)("q", **{name: "secret-value-1"})
        assert server.requests == []
    assert "secret-value-1" not in str(caught.value) + str(later.value)


def test_why_a_secret_is_not_sent_is_said() -> None:
    with pytest.raises(ConfigurationError, match="would be sent in the body"):
        LM("openai/m", engine="direct", my_service_token="secret-value-1")
    with pytest.raises(ConfigurationError, match="only litellm knows this option"):
        LM("openai/m", engine="direct", guardrails=["x"])


def test_a_forced_engine_sends_what_a_provider_may_know() -> None:
    in_body: dict[str, Any] = {
        **FORMAT,
        **TOOLS,
        "metadata": {"a": "b"},
        "top_k": 5,
        "guided_json": {"type": "object"},
        "chat_template_kwargs": {"enable_thinking": False},
        "stop_token_ids": [1],
        "prompt_logprobs": 1,
        "prompt_cache_key": "p",
        "ban_eos_token": True,
        "dry_multiplier": 0.8,
        "an_option_of_tomorrow": 1,
    }
    more = in_body.pop("extra_body")
    elsewhere = {
        "api_version": "1",
        "organization": "o",
        "headers": {"X-Token": "t"},
        "extra_headers": {"X-Api-Key": "x"},
        "extra_query": {"code": "c"},
        "extra_body": {**more, "pass_token": "given-on-purpose"},
        "cache": False,
    }
    body = sent("openai/m", "direct", {**in_body, **elsewhere}, streamed=False).body
    assert body == {"model": "m", "messages": ASKED, **in_body, **more, "pass_token": "given-on-purpose"}


def test_prices_and_fallbacks_of_litellm_are_known() -> None:
    """All that litellm counts as a price is refused by name or family; what the wire format has is not."""
    from litellm.types.utils import CustomPricingLiteLLMParams

    prices = [name for name in CustomPricingLiteLLMParams.model_fields if "_cost" in name]
    assert len(prices) > 10
    for name in prices:
        with pytest.raises(ConfigurationError, match=name):
            LM("openai/m", engine="direct", **{name: 1})
    for endpoint in ENDPOINTS.values():
        assert not any(map(_is_litellms, endpoint.plain))


def test_two_addresses_that_differ_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="api_base=..., base_url="):
        LM("openai/m", api_base="http://h/v1", base_url="http://other/v1")
    assert LM("openai/m", api_base="http://h/v1", base_url="http://h/v1/").engine == "direct"


@pytest.mark.parametrize("variable", ["SSL_VERIFY", "SSL_CERTIFICATE", "SSL_SECURITY_LEVEL"])
def test_auto_leaves_to_litellm_what_the_environment_says_to_it_alone(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LM("openai/m").engine == "direct"
    monkeypatch.setenv(variable, "False")
    assert LM("openai/m").engine == "litellm"
    assert LM("openai/m", engine="direct").engine == "direct"


def test_a_project_goes_into_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_PROJECT_ID", "of-the-environment")
    assert prepared().headers["OpenAI-Project"] == "of-the-environment"
    out = prepared(project="mine")
    assert out.headers["OpenAI-Project"] == "mine" and b"project" not in out.body


def test_openrouter_is_told_what_app_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OR_SITE_URL", "https://app.example")
    monkeypatch.setenv("OR_APP_NAME", "An App")
    told = {"HTTP-Referer": "https://app.example", "X-Title": "An App"}
    assert told.items() <= prepared("openrouter/a/m").headers.items()
    assert not told.keys() & prepared("groq/m").headers.keys()
    assert prepared("openrouter/a/m", extra_headers={"x-title": "Mine"}).headers["x-title"] == "Mine"


def test_a_forced_engine_takes_an_unknown_name_as_it_stands() -> None:
    with ScriptedServer("fine") as server:
        lm = LM("Qwen/Qwen3-8B", engine="direct", api_base=server.url, cache=False)
        assert lm("q") == ["fine"]
        assert server.requests[0].body["model"] == "Qwen/Qwen3-8B"
        assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": "http://h/a.png"}]},
        {"role": "assistant", "content": "a", "thinking_blocks": []},
        {"role": "assistant", "content": "a", "reasoning_content": "r"},
    ],
)
def test_messages_that_litellm_would_rewrite_are_left_to_it(message: dict[str, Any]) -> None:
    with ScriptedServer("fine") as server:
        server.lm().request([message], {})
        assert server.requests[0].headers["user-agent"] != "lmstream_sync"
        server.lm().request([{"role": "user", "content": [{"type": "text", "text": "q"}]}], {})
        assert server.requests[1].headers["user-agent"] == "lmstream_sync"


def test_what_a_user_set_in_litellm_is_obeyed(litellm_as_it_was: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    lm = LM("openai/m")
    assert lm.engine == "direct"
    with monkeypatch.context() as patch:
        patch.setattr(litellm, "drop_params", True)
        assert lm.engine == "litellm"
    with monkeypatch.context() as patch:
        patch.setattr(litellm, "acompletion", lambda **options: None)
        assert lm.engine == "litellm"
    litellm.success_callback.append(lambda *arguments: None)
    assert lm.engine == "litellm"


SWITCHES = [
    ("USE_LITELLM_PROXY", "True"),
    ("LITELLM_ROUTE_ALL_CHAT_OPENAI_TO_RESPONSES", "true"),
    ("LITELLM_MODIFY_PARAMS", "1"),
    ("LITELLM_DROP_PARAMS", "yes"),
    ("LITELLM_HTTP2", " true "),
    ("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "true"),
    ("DISABLE_AIOHTTP_TRANSPORT", "True"),
    ("DISABLE_AIOHTTP_TRUST_ENV", "True"),
]


@pytest.mark.parametrize(
    ("variable", "value"), [*SWITCHES, ("LITELLM_USER_AGENT", "mine/1"), ("SSL_ECDH_CURVE", "X25519")]
)
def test_what_a_user_set_for_litellm_in_the_environment_is_obeyed(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = LM("openai/m")
    assert lm.engine == "direct"
    monkeypatch.setenv(variable, value)
    assert lm.engine == "litellm"
    assert LM("openai/m", engine="direct").engine == "direct"
    monkeypatch.delenv(variable)
    assert lm.engine == "direct"


@pytest.mark.parametrize("value", ["", "false", "False", "0", "no", "off", " "])
@pytest.mark.parametrize("variable", [name for name, _ in SWITCHES if name != "LITELLM_MODIFY_PARAMS"])
def test_what_is_switched_off_there_is_no_matter(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert LM("openai/m").engine == "direct"


def test_litellm_takes_any_value_of_this_variable_for_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_MODIFY_PARAMS", "false")
    assert LM("openai/m").engine == "litellm"
    monkeypatch.setenv("LITELLM_MODIFY_PARAMS", "")
    assert LM("openai/m").engine == "direct"


def test_requests_go_to_litellms_proxy_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer("of the proxy") as proxy, ScriptedServer("of the provider") as provider:
        monkeypatch.setenv("LITELLM_PROXY_API_BASE", proxy.url)
        monkeypatch.setenv("LITELLM_PROXY_API_KEY", "key-of-the-proxy")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        lm = LM("openai/m", cache=False, num_retries=0)
        assert lm("q") == ["of the provider"]
        monkeypatch.setenv("USE_LITELLM_PROXY", "True")
        assert lm("q") == ["of the proxy"]
        assert proxy.requests[0].headers["authorization"] == "Bearer key-of-the-proxy"
        assert LM("openai/m", engine="direct", cache=False)("q") == ["of the provider"]


def test_the_settings_looked_at_are_litellms() -> None:
    import litellm

    missing = {name for name in SETTINGS if not hasattr(litellm, name)}
    assert missing == set()


def test_models_of_openai_that_answer_elsewhere_are_known() -> None:
    import litellm

    elsewhere = [
        name
        for name, info in litellm.model_cost.items()
        if info.get("litellm_provider") in ("openai", "text-completion-openai")
        and info.get("mode") in ("responses", "completion")
        and endpoint_of(f"openai/{name}")[1] is not None
    ]
    assert len(elsewhere) > 10
    assert [name for name in elsewhere if LM(f"openai/{name}").engine != "litellm"] == []


def test_models_of_openai_that_reason_are_known() -> None:
    """Those for which litellm renames `max_tokens`, and no others."""
    import litellm

    wrong = []
    for name, info in litellm.model_cost.items():
        if info.get("litellm_provider") != "openai" or info.get("mode") != "chat" or "/" in name:
            continue
        if LM(f"openai/{name}").engine == "litellm":
            continue
        mapped = litellm.get_optional_params(model=name, custom_llm_provider="openai", max_tokens=5)
        request = LMRequest(f"openai/{name}", ASKED, {"max_tokens": 5})
        body = outgoing(request, path="", stream=False, usage=False).body
        if ("max_completion_tokens" in mapped) != (b'"max_completion_tokens"' in body):
            wrong.append(name)
    assert wrong == []
