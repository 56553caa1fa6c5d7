"""A format by its name, or the one among several that `Accept` asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.sse import SSEFormat
from lmstream_sync.web.formats.ag_ui import AGUIFormat
from lmstream_sync.web.formats.ai_sdk import AISDKFormat
from lmstream_sync.web.formats.htmx import HtmxFormat
from lmstream_sync.web.formats.ndjson import NDJSONFormat
from lmstream_sync.web.formats.openai import OpenAIFormat
from lmstream_sync.web.formats.text import TextFormat

__all__ = ["FORMATS", "chosen_format"]

FORMATS: dict[str, Callable[[], Format]] = {
    "sse": lambda: SSEFormat(ids=True, finished_strings=False),
    "openai": OpenAIFormat,
    "ai-sdk": AISDKFormat,
    "ag-ui": AGUIFormat,
    "htmx": HtmxFormat,
    "text": TextFormat,
    "ndjson": NDJSONFormat,
}


def chosen_format(wanted: Any, accept: str | None = None) -> Format:
    """A new format object.

    Args:
        wanted: a name, a `Format` class, a function that makes one, a `Format` object (which
            serves one response), or a sequence of these, of which `accept` picks one.
        accept: the request's header of that name. The first of a sequence is taken where it is
            missing, where it likes several best, and where it likes none.

    Raises:
        ConfigurationError: there is no such format.
    """
    choices = list(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    if not choices:
        raise ConfigurationError(f"format={wanted!r}: name at least one format")
    made = [_made(each) for each in choices]
    if len(made) == 1 or accept is None:
        return made[0]
    ranges = _ranges(accept)
    return max(made, key=lambda format: _liking(format.content_type, ranges))  # the first of equals


def _made(wanted: Any) -> Format:
    make = FORMATS.get(wanted) if isinstance(wanted, str) else wanted
    format = make() if callable(make) else make
    if not isinstance(format, Format):
        raise ConfigurationError(f"format={wanted!r}: there are {', '.join(sorted(FORMATS))}, or a Format of your own")
    return format


def _ranges(accept: str) -> dict[str, float]:
    """Media range → how much it is liked, 0 to 1.

    Source: RFC 9110, section 12.5.1. Parameters other than `q` are passed over, and so is what cannot be read.
    """
    ranges: dict[str, float] = {}
    for each in accept.lower().split(","):
        media, *parameters = (part.strip() for part in each.split(";"))
        if media.count("/") != 1:
            continue
        liking = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                liking = _quality(value.strip())
        ranges[media] = max(liking, ranges.get(media, 0.0))
    return ranges


def _quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _liking(content_type: str, ranges: dict[str, float]) -> float:
    """How much a content type is liked: what the narrowest range that it is in says."""
    media = content_type.partition(";")[0].strip().lower()
    for media_range in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
