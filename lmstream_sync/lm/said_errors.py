"""Errors that a provider says with status 200: in the place of a chunk, within one, in the place of a reply.

The forms are seen at OpenAI's and Anthropic's endpoints (`error`), vLLM's (`object`), OpenRouter's
(`choices[].error`, the finish reason `error`), FastAPI's (`detail`) and at gateways (`event: error`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from lmstream_sync.errors import LMError
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.failures import translated
from lmstream_sync.lm.json_decoding import as_json, plain_json
from lmstream_sync.lm.litellm_chunks import field_of
from lmstream_sync.lm.secrets import known_secrets

__all__ = ["error_in", "error_without_choices", "failure_said", "with_named_errors"]

_ERROR = "error"
_LONGEST = 2_000


def error_in(found: Any) -> Mapping[str, Any] | None:
    """The error in a chunk or a reply, as a mapping with `error`; `None` where there is none.

    Args:
        found: JSON as dicts and lists, or a response of litellm's.
    """
    if isinstance(found, Mapping):
        if found.get(_ERROR):
            return found
        if _ERROR in (found.get("object"), found.get("type")):
            return _as_error(found)
    choices = field_of(found, "choices")
    for choice in choices if isinstance(choices, list) else ():
        # litellm makes `stop` of that finish reason, and keeps both here.
        kept = field_of(choice, "provider_specific_fields")
        error = field_of(choice, _ERROR) or field_of(kept, _ERROR)
        if error:
            return {_ERROR: error if isinstance(error, (Mapping, str)) else _written(str, error)}
        if _ERROR in (field_of(choice, "finish_reason"), field_of(kept, "native_finish_reason")):
            return _as_error("the provider ended the reply with the finish reason 'error'")
    return None


def error_without_choices(found: Any) -> Mapping[str, Any] | None:
    """The error that an object is which stands alone in the place of a reply: no choices, but words."""
    if not isinstance(found, Mapping) or "choices" in found:
        return None
    return _as_error(found) if isinstance(found.get("message"), str) or found.get("detail") else None


def failure_said(said: Mapping[str, Any], request: LMRequest, *, begun: bool) -> LMError:
    """What an error means that a provider said with status 200.

    Args:
        said: a mapping with `error`.
        request: what was asked.
        begun: whether something of the reply had come.
    """
    secrets = known_secrets(request.options)
    return translated(EOFError("the reply ended"), model=request.model, secrets=secrets, begun=begun, said=said)


def with_named_errors(events: list[bytes], names: Mapping[int, str]) -> list[bytes]:
    """Events of a stream, where what the name `error` says is said by the data too.

    Args:
        events: the data of each.
        names: place → the event's name, of those that have one.
    """
    return [_error_object(data) if names.get(place) == _ERROR else data for place, data in enumerate(events)]


def _error_object(data: bytes) -> bytes:
    if data.strip() == b"[DONE]":
        return data
    with suppress(ValueError, RecursionError):
        found = plain_json(data)
        return data if error_in(found) is not None else as_json(_as_error(found))
    return as_json(_as_error(data.decode("utf-8", "replace").strip() or "an event named error, without words"))


def _as_error(said: Any) -> Mapping[str, Any]:
    """What is known to be an error, as a mapping with `error`, and in that a `message`."""
    if not isinstance(said, Mapping):
        return {_ERROR: {"message": said if isinstance(said, str) else _written(json.dumps, said)}}
    words = next((said[name] for name in ("message", "detail") if isinstance(said.get(name), str)), None)
    return {_ERROR: {**said, "message": _written(json.dumps, said) if words is None else words}}


def _written(write: Callable[[Any], str], said: Any) -> str:
    try:
        return write(said)[:_LONGEST]
    except RecursionError:  # it could be read, but that goes deeper than this
        return "an error that is nested too deep to be shown"
