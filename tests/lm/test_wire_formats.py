"""Recorded wire formats of many providers, over real HTTP through litellm: what was sent is what comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    LMError,
    LMInterrupted,
    RateLimitError,
    ServerError,
)
from lmstream_sync.lm.engine import Choice
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm import wire_formats as wire
from tests.lm.conftest import RecordingTap

# litellm's own types for Ollama, which pydantic remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier:UserWarning")

ASKED = [{"role": "user", "content": "q"}]
_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
CUTS = ["whole", "characters", "lines", "bytes"]

#: File → prompt, completion, cached and reasoning tokens. (Anthropic does not count the tokens
#: of thought; litellm counts them itself.)
USAGE = {
    "openai.sse": (31, 17, 8, 0),
    "anthropic.sse": (31, 15, 6, 0),
    "anthropic_thinking.sse": (31, 60, 6, None),
    "gemini.sse": (12, 56, 4, 37),
    "gemini_thoughts.sse": (12, 56, 4, 37),
    "mistral.sse": (10, 25, 0, 0),
    "mistral_thinking.sse": (10, 25, 0, 0),
    "ollama.ndjson": (11, 18, 0, 0),
    "ollama_generate.ndjson": (11, 18, 0, 0),
    "ollama_thinking.ndjson": (11, 18, 0, 0),
    "ollama_openai.sse": (11, 18, 0, 0),
    "vllm.sse": (20, 14, 0, 0),
    "vllm_reasoning.sse": (20, 14, 0, 0),
    "deepseek.sse": (10, 40, 3, 21),
    "groq.sse": (18, 30, 0, 0),
    "openrouter.sse": (14, 33, 2, 11),
}
#: Read by litellm in the same way as another one here that has more in it.
LIKE_ANOTHER = {
    "anthropic.sse",
    "gemini.sse",
    "mistral.sse",
    "ollama.ndjson",
    "ollama_openai.sse",
    "vllm_reasoning.sse",
}
WITHOUT_THOUGHT = {
    "openai.sse",
    "anthropic.sse",
    "gemini.sse",
    "mistral.sse",
    "ollama.ndjson",
    "ollama_generate.ndjson",
}


def ask(name: str, how: str = "whole", tap: RecordingTap | None = None, **options: Any) -> Any:
    with ScriptedServer(wire.reply(name, how)) as server:
        return wire.lm(name, server, **options).request(ASKED, {}, tap or RecordingTap())


def only_choice(name: str, how: str = "whole") -> Choice:
    (choice,) = ask(name, how).choices
    found: Choice = choice
    return found


def calls(choice: Choice) -> list[tuple[str, Any]]:
    return [(each["function"]["name"], json.loads(each["function"]["arguments"])) for each in choice.tool_calls]


@pytest.mark.parametrize(
    ("name", "how"), [(name, how) for name in USAGE for how in CUTS if how != "bytes" or name not in LIKE_ANOTHER]
)
def test_text_thought_end_and_usage_come_whole(name: str, how: str, tap: RecordingTap) -> None:
    reply = ask(name, how, tap)
    (choice,) = reply.choices
    assert choice.text == wire.TEXT
    assert choice.reasoning == (None if name in WITHOUT_THOUGHT else wire.THOUGHT)
    assert choice.finish_reason == "stop" and choice.refusal is None and choice.tool_calls == []
    assert tap.pieces == wire.PIECES
    assert "".join(delta.reasoning or "" for delta in tap.deltas) == (choice.reasoning or "")
    prompt, completion, cached, reasoning = USAGE[name]
    assert (reply.usage["prompt_tokens"], reply.usage["completion_tokens"]) == (prompt, completion)
    assert reply.usage["cached_tokens"] == cached and "estimated" not in reply.usage
    assert reasoning is None or reply.usage["reasoning_tokens"] == reasoning


def test_what_a_provider_says_it_cost_is_believed() -> None:
    assert ask("openrouter.sse").cost == 0.00054


@pytest.mark.parametrize("how", ["whole", "characters"])
@pytest.mark.parametrize("name", wire.names(but="choices"))
def test_what_was_streamed_is_what_came_back(name: str, how: str) -> None:
    """Law 1, also where the reply stops early, is no answer at all, or breaks off."""
    with ScriptedServer(wire.reply(name, how)) as server, lms.context(lm=wire.lm(name, server)):
        program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
        stream = program(q="?")
        chunks: list[lms.StreamResponse] = []
        failure: Exception | None = None
        try:
            for event in stream:
                if isinstance(event, lms.StreamResponse):
                    chunks.append(event)
        except lms.LMStreamError as error:
            failure = error
    text = "".join(chunk.chunk for chunk in chunks)
    if name in USAGE:
        assert failure is None and stream.prediction is not None
        assert text == wire.ANSWER == stream.prediction.answer == stream.prediction.raw("answer")
    if failure is None:
        assert stream.prediction is not None and text == stream.prediction.raw("answer")
        assert [chunk.is_last_chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    else:
        assert stream.partial.get("answer", "") == text == failure.partial.get("answer", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai_tools.sse", ""),
        ("anthropic_tools.sse", "Let me look – 🔍."),
        ("gemini_tools.sse", "Let me look."),
        ("mistral_tools.sse", ""),
        ("ollama_tools.ndjson", ""),
    ],
)
@pytest.mark.parametrize("how", ["whole", "characters", "lines"])
def test_tool_calls_come_whole_and_apart(name: str, said: str, how: str) -> None:
    choice = only_choice(name, how)
    assert calls(choice) == [("get_weather", {"city": "Zürich 🏔"}), ("get_time", {})]
    assert len({each["id"] for each in choice.tool_calls}) == 2 and all(each["id"] for each in choice.tool_calls)
    assert choice.finish_reason == "tool_calls" and choice.text == said


def test_a_refusal_comes_as_one(tap: RecordingTap) -> None:
    choice = ask("openai_refusal.sse", tap=tap).choices[0]
    assert choice.refusal == "I'm sorry, I can’t help with that." and choice.text == ""
    assert "".join(delta.refusal or "" for delta in tap.deltas) == choice.refusal


def test_each_choice_has_its_own_text_and_end() -> None:
    found = [(choice.text, choice.finish_reason) for choice in ask("openai_two_choices.sse").choices]
    assert found == [("heads up", "stop"), ("tails, of course", "length")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("openai_length.sse", "length"),
        ("anthropic_max_tokens.sse", "length"),
        ("gemini_max_tokens.sse", "length"),
        ("ollama_length.ndjson", "length"),
        ("gemini_safety.sse", "content_filter"),
        ("gemini_blocked.sse", "content_filter"),
        ("anthropic_refusal.sse", "content_filter"),
    ],
)
def test_why_a_reply_ended_is_said_in_one_vocabulary(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "lmstream_sync.lm"):
        choice = only_choice(name)
    assert [f"(finish reason {reason!r})" in record.getMessage() for record in caplog.records] == [True]
    assert choice.finish_reason == reason
    assert wire.BEGINNING.startswith(choice.text) or choice.text == "I cannot"


@pytest.mark.parametrize("how", CUTS)
def test_citations_come_beside_the_undisturbed_answer(how: str, tap: RecordingTap) -> None:
    choice = ask("anthropic_citations.sse", how, tap).choices[0]
    assert "According to the farm, the chicken crossed and stayed." in choice.text
    cited = ["A chicken crossed – twice. ", "It crossed.", "It stayed."]
    assert [each["cited_text"] for each in choice.provider_fields["citations"]] == cited
    places = [
        (delta.provider_fields["citation"]["cited_text"], "".join(tap.pieces)[: _before(tap, delta)])
        for delta in tap.deltas
        if delta.provider_fields
    ]
    assert [place[0] for place in places] == cited
    assert places[0][1].endswith("the chicken crossed") and places[2][1].endswith("stayed")


def _before(tap: RecordingTap, delta: Any) -> int:
    at = next(position for position, each in enumerate(tap.deltas) if each is delta)
    return sum(len(each.content or "") for each in tap.deltas[:at])


def test_citations_of_a_whole_reply_are_told_in_the_same_way() -> None:
    citation = {"type": "char_location", "cited_text": "It did.", "document_index": 0, "document_title": "Farm"}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [
            {"type": "text", "text": "It "},
            {"type": "text", "text": "crossed", "citations": [citation, citation]},
            {"type": "text", "text": " and stayed", "citations": [citation]},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    with ScriptedServer(Reply(raw=[json.dumps(message).encode()], content_type="application/json")) as server:
        (choice,) = wire.lm("anthropic", server).request(ASKED).choices
    assert choice.text == "It crossed and stayed"
    assert [each["cited_text"] for each in choice.provider_fields["citations"]] == ["It did."] * 3


def test_blocks_of_thinking_come_as_they_must_be_sent_back() -> None:
    blocks = only_choice("anthropic_thinking.sse").provider_fields["thinking_blocks"]
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking"]
    assert blocks[0]["thinking"] == wire.THOUGHT and blocks[0]["signature"].startswith("EqQB")


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("openai_error.sse", 500, "The server had an error while processing"),
        ("anthropic_error.sse", 529, "Overloaded"),
        ("gemini_error.sse", 503, "The model is overloaded"),
        ("ollama_error.ndjson", None, "an error was encountered while running the model: unexpected EOF"),
        ("vllm_error.sse", 500, "EngineCore encountered an issue"),
        ("openrouter_error.sse", None, "Provider disconnected unexpectedly"),
    ],
)
@pytest.mark.parametrize("how", CUTS)
def test_an_error_in_mid_stream_is_told_in_the_providers_words(
    name: str, status: int | None, words: str, how: str, tap: RecordingTap
) -> None:
    with pytest.raises(LMInterrupted) as caught:
        ask(name, how, tap, num_retries=2)
    assert str(caught.value).endswith(f"the reply broke off: {words}") or words in str(caught.value)
    assert "KeyError" not in str(caught.value) and "invalid literal" not in str(caught.value)
    assert caught.value.status_code == status
    assert "".join(tap.pieces) == wire.BEGINNING


@pytest.mark.parametrize(
    ("name", "event", "kind", "status"),
    [
        ("anthropic.sse", "anthropic_error_at_once.sse", ServerError, 529),
        (
            "anthropic.sse",
            {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}},
            RateLimitError,
            429,
        ),
        ("openrouter.sse", {"error": {"code": 429, "message": "m"}}, RateLimitError, 429),
        ("gemini.sse", {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}, RateLimitError, 429),
        ("ollama.ndjson", {"error": "model runner has unexpectedly stopped"}, ServerError, None),
    ],
)
def test_an_error_in_place_of_the_first_piece_is_tried_again(
    name: str, event: Any, kind: type[LMError], status: int | None
) -> None:
    line = b"" if name.endswith("ndjson") else b"data: "
    error = wire.body(event) if isinstance(event, str) else line + json.dumps(event).encode() + b"\n\n"
    with ScriptedServer([wire.playing(name, [error]), wire.reply(name)]) as server:
        assert wire.lm(name, server, num_retries=1).request(ASKED, {}, RecordingTap()).choices[0].text == wire.TEXT
        assert len(server.requests) == 2
    with ScriptedServer(wire.playing(name, [error])) as server, pytest.raises(kind) as caught:
        wire.lm(name, server).request(ASKED, {}, RecordingTap())
    assert caught.value.status_code == status


REFUSALS: list[tuple[str, int, dict[str, Any], type[LMError], str]] = [
    (
        "anthropic.sse",
        429,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many tokens a minute"}},
        RateLimitError,
        "Too many tokens a minute",
    ),
    (
        "anthropic.sse",
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ServerError,
        "Overloaded",
    ),
    (
        "gemini.sse",
        403,
        {"error": {"code": 403, "message": "Permission – denied", "status": "PERMISSION_DENIED"}},
        AuthenticationError,
        "Permission – denied",
    ),
    (
        "mistral.sse",
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "param": None, "code": "1500"},
        BadRequestError,
        "Invalid model: x",
    ),
    ("ollama.ndjson", 404, {"error": "model 'qwen3' not found"}, BadRequestError, "model 'qwen3' not found"),
    (
        "vllm.sse",
        400,
        {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
        ContextWindowExceededError,
        "This model's maximum context length is 4096 tokens.",
    ),
    ("groq.sse", 503, {"error": {"message": "Service Unavailable", "type": "x"}}, ServerError, "Service Unavailable"),
    (
        "openrouter.sse",
        402,
        {"error": {"code": 402, "message": "Insufficient credits"}},
        LMError,
        "Insufficient credits",
    ),
]


@pytest.mark.parametrize(("name", "status", "said", "kind", "words"), REFUSALS)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_refusal_to_answer_is_told_in_the_providers_words(
    name: str, status: int, said: dict[str, Any], kind: type[LMError], words: str, streamed: bool
) -> None:
    refusal = Reply(status=status, body=said, retry_after=600)
    with ScriptedServer(refusal) as server, pytest.raises(kind) as caught:
        wire.lm(name, server).request(ASKED, {}, RecordingTap() if streamed else None)
    assert type(caught.value) is kind and str(caught.value).endswith(words)
    assert (caught.value.status_code, caught.value.retry_after) == (status, 600)


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in USAGE if name not in LIKE_ANOTHER),
        "gemini_tools.sse",
        "anthropic_tools.sse",
        "ollama_tools.ndjson",
    ],
)
def test_a_reply_that_breaks_off_is_an_error_and_never_a_short_answer(name: str) -> None:
    """Law 7, at places spread over the whole body, inside characters and lines, and near its end at more of them."""
    data = wire.body(name)
    inside = [place for place in range(1, len(data)) if data[place] & 0xC0 == 0x80]
    places = sorted({*range(0, len(data), 241), *inside[::5], *range(len(data) - 300, len(data), 25)})
    whole = only_choice(name)
    rest = iter(places)
    with ScriptedServer(lambda _: wire.playing(name, [data[: next(rest)]])) as server:
        model = wire.lm(name, server)
        for place in places:
            tap = RecordingTap()
            try:
                (choice,) = model.request(ASKED, {}, tap).choices
            except LMInterrupted:
                assert whole.text.startswith("".join(tap.pieces))
            else:
                assert (choice.text, calls(choice), choice.reasoning, choice.finish_reason) == (
                    whole.text,
                    calls(whole),
                    whole.reasoning,
                    whole.finish_reason,
                ), f"cut at {place}"


@pytest.mark.parametrize("name", [name for name in USAGE if name not in ("gemini_thoughts.sse", "vllm_reasoning.sse")])
def test_leaving_closes_the_providers_connection(name: str) -> None:
    """Law 4, as the server sees it, for every way in which litellm reads a stream."""
    raw = wire.cut(wire.body(name), "lines")
    # Long before the end: some replies are over for litellm when their finish reason came.
    with ScriptedServer(wire.playing(name, raw, stall_after=len(raw) // 2)) as server:
        stream = lms.stream(wire.lm(name, server), "q")
        assert next(stream)
        server.wait_for_stall()
        stream.close()
        server.wait_for_reader_left()


def test_no_provider_makes_litellm_import_on_the_loop() -> None:
    """Law 6, for each provider's first stream in a process."""
    program = """
import importlib.abc, sys, threading
import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer
from tests.lm import wire_formats as wire
lms.warm_up()
on_loop = []
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "lmstream-loop":
            on_loop.append(name)
sys.meta_path.insert(0, Watch())
for name in sys.argv[1:]:
    with ScriptedServer(wire.reply(name)) as server:
        assert "".join(lms.stream(wire.lm(name, server), "q").text("text")) == wire.TEXT, name
print(on_loop)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *USAGE], capture_output=True, text=True, timeout=50, cwd=_ROOT, env=_ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
