"""JSON of the wire to Python, and back. The only file that knows msgspec.

msgspec reads a line into a type and builds nothing of what the type does not name, so most
of a chunk (ids, log probabilities, fingerprints) is skipped. One run, a chunk of 300 bytes,
Python 3.11, µs: msgspec typed 0.66, msgspec 0.96, orjson 1.07, jiter 1.33, json 5.00.

What it refuses is read once more by `json.loads`: half of a surrogate pair (`"\\ud83d"`),
which orjson and jiter refuse too and which servers written in JavaScript send, and `NaN`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

__all__ = ["NOT_TYPED", "WireChunk", "WireDelta", "as_json", "ordered_json", "plain_json", "typed_chunk"]


# Left out of the garbage collector's books (`gc=False`), where there would be three for each
# chunk: what JSON gives cannot refer back to what holds it.


class WireDelta(msgspec.Struct, gc=False):
    """What a chunk adds to one choice. Source: OpenAI's chat completions, `choices[].delta`.

    `reasoning_content` is DeepSeek's name, `reasoning` OpenRouter's and Groq's;
    `provider_specific_fields` comes from litellm's own proxy.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None
    provider_specific_fields: dict[str, Any] | None = None


class WireChoice(msgspec.Struct, gc=False):
    """One choice of a chunk. One that says an error is of another shape, which costs the others nothing."""

    delta: WireDelta
    index: int = 0
    finish_reason: Annotated[str, msgspec.Meta(pattern="^(?!error$)")] | None = None
    error: None = None


class WireChunk(msgspec.Struct, gc=False):
    """A chunk of a streamed chat completion, as far as it is read; an error object is none."""

    choices: list[WireChoice]
    usage: dict[str, Any] | None = None
    error: None = None


#: What `typed_chunk` raises for a chunk of another shape, or that msgspec does not take: then see `plain_json`.
NOT_TYPED: tuple[type[Exception], ...] = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: A chunk of its bytes. The decoder's own method: it is called for every chunk.
typed_chunk: Callable[[bytes], WireChunk] = msgspec.json.Decoder(WireChunk).decode
_plain = msgspec.json.Decoder().decode


def plain_json(data: bytes) -> Any:
    """Any JSON, as dicts and lists.

    Raises:
        ValueError: it is none.
    """
    try:
        return _plain(data)
    except NOT_TYPED:
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def as_json(value: Any) -> bytes:
    """JSON of dicts and lists; what has a `model_dump` (pydantic's models) is a dict too.

    Raises:
        TypeError: something in it has no JSON form.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_dumped)
    except UnicodeEncodeError:  # half of a surrogate pair in a text: `json` escapes it
        return json.dumps(value, default=_dumped).encode()


def ordered_json(default: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    """A function that gives JSON which is the same for what is the same: keys and sets are in order.

    It takes a sixth of what `json` takes with sorted keys: 0.8 µs for a prompt of 1,100 characters.

    Args:
        default: what stands for a value that has no JSON form.
    """

    def plain(value: Any) -> Any:
        found = _as_base(value)
        return default(value) if found is None else found

    fast = msgspec.json.Encoder(enc_hook=plain, order="deterministic").encode
    slow = json.JSONEncoder(default=plain, sort_keys=True, separators=(",", ":")).encode

    def encode(value: Any) -> bytes:
        try:
            return fast(value)
        except (TypeError, ValueError, OverflowError):  # half of a surrogate pair, a number of more than 64 bits
            return slow(value).encode()

    return encode


def _dumped(value: Any) -> Any:
    found = _as_base(value)
    if found is not None:
        return found
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(exclude_none=True)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _as_base(value: Any) -> Any:
    """A text, number or mapping of a class of its own (a framework's safe string, NumPy's float) as a plain one."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return dict(value) if isinstance(value, Mapping) else None
