"""The words of an exception that were the provider's, without what libraries put round them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["is_error_object", "own_words", "words_of"]

_LONGEST_MESSAGE = 2_000

# What litellm puts before the words of others.
_PREFIX = re.compile(r"^(?:litellm\.\w+: )*(?:\w+Error: )*(?:\w+Exception - )?(?:litellm\.\w+: )*(?:LiteLLM: )?")
# litellm puts a whole traceback behind some messages.
_TRACEBACK = "Traceback (most recent call last)"


def words_of(chain: Sequence[BaseException]) -> str:
    """The words nearest to the provider: those of the innermost link that has a body, else the outermost's."""
    for link in reversed(chain):
        body = getattr(link, "body", None)
        if isinstance(body, Mapping):
            inner = body.get("error", body)
            words = inner.get("message") if isinstance(inner, Mapping) else inner
            if isinstance(words, str) and words:
                return words[:_LONGEST_MESSAGE]
        elif isinstance(body, str) and body and is_error_object(link):
            return body[:_LONGEST_MESSAGE]
    text = own_words(chain[0])
    return _words_in_json(text) or _PREFIX.sub("", text) or text


def own_words(error: BaseException) -> str:
    """The message of one exception, bounded; never empty."""
    try:
        text = str(getattr(error, "message", None) or error)
    except Exception:
        text = ""
    if isinstance(error, json.JSONDecodeError):
        text = f"{error.msg} at character {error.pos}"  # `doc` is the whole reply
    text = text.partition(_TRACEBACK)[0].rstrip()
    return text[:_LONGEST_MESSAGE] or type(error).__name__


def is_error_object(error: BaseException) -> bool:
    """Whether it is what the openai package makes of an error object inside a stream."""
    return type(error).__name__ == "APIError" and "openai" in type(error).__module__.partition(".")[0]


def _words_in_json(text: str) -> str | None:
    """The message in a provider's JSON that a library quotes as it came, as text or as the `repr` of bytes."""
    begin = text.find("{")
    if begin < 0:
        return None
    quoted = text[begin:]
    if text[:begin].endswith(("b'", 'b"')):
        with suppress(ValueError, SyntaxError):
            quoted = ast.literal_eval(text[begin - 2 :]).decode()
    try:
        body, _ = json.JSONDecoder().raw_decode(quoted)
    except ValueError:
        return None
    inner = body.get("error", body)
    words = inner.get("message") if isinstance(inner, Mapping) else inner
    return words if isinstance(words, str) and words else None
