"""What providers send, byte for byte as their public documentation shows it, with one answer in all of them.

A file is the body of one response. Its name begins with the provider; `.sse` are server-sent
events, `.ndjson` lines of JSON. Sources of the shapes:

- `openai*`: "Chat completions: streaming" (platform.openai.com/docs/api-reference/chat-streaming):
  role in the first chunk, `logprobs`, `system_fingerprint`, `obfuscation`, a chunk with the
  usage and no choices, refusals, fragments of tool calls; an error object in mid-stream.
- `anthropic*`: "Streaming messages" (platform.claude.com/docs/en/build-with-claude/streaming),
  "Extended thinking", "Citations" and "Errors" there: named events, pings, `thinking_delta`,
  `signature_delta`, `redacted_thinking`, `input_json_delta`, `citations_delta`, an error event.
- `gemini*`: "models.streamGenerateContent" with `alt=sse` (ai.google.dev/api/generate-content),
  "Thinking" and "Function calling" there. Lines end in CR LF on the wire.
- `mistral*`: "Chat completion" and "Reasoning" (docs.mistral.ai): content as a list of parts.
- `ollama*.ndjson`: "Generate a chat completion" and "Thinking" (docs.ollama.com/api/chat);
  `ollama_openai.sse`: its "OpenAI compatibility".
- `vllm*`: "Reasoning outputs" (docs.vllm.ai/en/latest/features/reasoning_outputs), of both names
  that the reasoning has had, with `continuous_usage_stats`.
- `deepseek*`: "Create chat completion" and "Reasoning model" (api-docs.deepseek.com), keep-alive comments.
- `groq*`: "Reasoning" (console.groq.com/docs/reasoning): `x_groq`, `reasoning`, `channel`.
- `openrouter*`: "Streaming" and "Errors and debugging" (openrouter.ai/docs/api-reference/streaming):
  comments, `native_finish_reason`, `cost`, an error beside the choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmstream_sync.lm import LM
from lmstream_sync.testing import Reply, ScriptedServer

#: The answer in every file that is not named for something else, and its pieces.
PIECES = ["[[ ##", " answer ## ]]\nTo", " get to the", " other side – gr", "ößer 😀", ".", "\n\n[[ ## comp"]
PIECES += ["leted ## ]]", "\n"]
TEXT = "".join(PIECES)
ANSWER = "To get to the other side – größer 😀."
#: What comes before the end or the error, in a file that stops there.
BEGINNING = "".join(PIECES[:4])
THOUGHT = "The user asks about a chicken – 🐔.\nEasy."

_FOLDER = Path(__file__).parent

# Provider → model in litellm's words, and what its base address has after the host.
_PROVIDERS = {
    "anthropic": ("anthropic/claude-sonnet-4-5", ""),
    "deepseek": ("deepseek/deepseek-reasoner", "/v1"),
    "gemini": ("gemini/gemini-2.5-flash", "/v1beta"),
    "groq": ("groq/openai/gpt-oss-20b", "/v1"),
    "mistral": ("mistral/magistral-medium-2509", "/v1"),
    "ollama": ("ollama_chat/qwen3", ""),
    "ollama_generate": ("ollama/qwen3", ""),
    "ollama_openai": ("openai/qwen3", "/v1"),
    "openai": ("openai/gpt-4o-mini", "/v1"),
    "openrouter": ("openrouter/anthropic/claude-sonnet-4.5", "/v1"),
    "vllm": ("hosted_vllm/Qwen/Qwen3-8B", "/v1"),
}


def body(name: str) -> bytes:
    """The bytes of one response."""
    found = (_FOLDER / name).read_bytes().replace(b"\r\n", b"\n")
    return found.replace(b"\n", b"\r\n") if name.startswith("gemini") else found


def names(*, but: str = "") -> list[str]:
    """All files; `but`: not those with one of these words in their names."""
    found = (file.name for file in _FOLDER.iterdir() if file.suffix in (".sse", ".ndjson"))
    return sorted(name for name in found if not any(word in name for word in but.split()))


def cut(data: bytes, how: str) -> list[bytes]:
    """A body in pieces: `whole`, `bytes` (one by one), `characters` (inside each that has several bytes), `lines`."""
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[at : at + 1] for at in range(len(data))]
    at = [0, *_places(data, how), len(data)]
    return [data[start:end] for start, end in zip(at, at[1:], strict=False) if start < end]


def _places(data: bytes, how: str) -> Iterator[int]:
    for place in range(1, len(data)):
        if how == "characters" and data[place] & 0xC0 == 0x80:
            yield place
        elif how == "lines" and data[place : place + 1] in (b"\r", b"\n"):
            yield place  # the line's end comes with the next line


def reply(name: str, how: str = "whole", **more: Any) -> Reply:
    """A recorded response as a scripted reply."""
    return playing(name, cut(body(name), how), **more)


def playing(name: str, raw: list[bytes], **more: Any) -> Reply:
    """Bytes of one's own in the place of those of a file."""
    kind = "application/x-ndjson" if name.endswith(".ndjson") else "text/event-stream"
    return Reply(raw=raw, content_type=kind, **more)


def lm(name: str, server: ScriptedServer, **options: Any) -> LM:
    """The model that speaks the format of a file, at this server."""
    stem = name.partition(".")[0]
    model, path = _PROVIDERS.get(stem) or _PROVIDERS[stem.partition("_")[0]]
    base = server.url.removesuffix("/v1") + path
    return LM(model, api_base=base, api_key="k", **{"engine": "litellm", "cache": False, "num_retries": 0, **options})
