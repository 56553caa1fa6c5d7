"""A whole response, or something else, where a stream was asked for: the same for both engines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmstream_sync.errors import LMProtocolError
from lmstream_sync.lm.assembly import carries_text
from lmstream_sync.lm.engine import Delta, LMRequest
from lmstream_sync.lm.failures import provider_of
from lmstream_sync.lm.litellm_chunks import is_whole, whole_as_pieces
from lmstream_sync.lm.said_errors import error_in, error_without_choices

__all__ = ["whole_instead"]


def whole_instead(
    found: Any, request: LMRequest, make_raw: Callable[..., Any] | None
) -> tuple[list[Delta], Mapping[str, Any] | None]:
    """A whole response is taken as the pieces of a stream; with them the error that is said in it.

    Args:
        found: the JSON of the body, or `None` where it is none.
        request: what was asked.
        make_raw: `litellm.ModelResponseStream`, where raw chunks are wanted.

    Raises:
        LMProtocolError: it is neither a response nor an error.
    """
    told = error_in(found) or error_without_choices(found)
    if is_whole(found) and (found["choices"] or told is None):
        deltas = whole_as_pieces(found, request.model, make_raw)
        return (deltas, None) if told is None else ([*filter(carries_text, deltas)], told)
    if told is not None:
        return [], told
    what = "JSON without choices" if found is not None else "something else"
    raise LMProtocolError(
        f"{request.model}: the reply is not what it says it is: a stream of events was asked for, and {what} came; "
        "look at api_base",
        provider=provider_of(request.model),
        model=request.model,
    )
