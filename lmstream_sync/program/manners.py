"""The ways in which one request can be sent: with options that not every endpoint takes, then without.

What an endpoint refused is remembered by model and address, in this process, so that the next
request does not try it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.errors import BadRequestError, ContextWindowExceededError
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.signatures import SignatureMeta

__all__ = ["Manner", "forget_refusals", "manners", "remember_refused", "was_refused"]

#: Endpoints remembered: that many at most.
_MEMORY = 1_000

_refused: dict[tuple[str, str], frozenset[str]] = {}
_lock = ForkSafeLock()  # guards `_refused`, which any thread may write


class Manner(NamedTuple):
    """One way to send a request.

    Attributes:
        options: of the request, beside the user's.
        calls_functions: the model is told of the tools by the wire format's `tools`.
        names: what of it an endpoint may refuse.
    """

    options: Mapping[str, Any]
    calls_functions: bool
    names: frozenset[str]


def manners(
    adapter: Adapter, signature: SignatureMeta, *, functions: bool, given: Mapping[str, Any], endpoint: tuple[str, str]
) -> Iterator[Manner]:
    """The ways to try, the best first; at least one.

    Args:
        adapter: says which options help.
        signature: the run's.
        functions: whether there are tools to tell the model of by the wire format.
        given: the user's own options, which win.
        endpoint: model and address.
    """
    refused = _refused.get(endpoint, frozenset())
    for calls_functions in (True, False) if functions else (False,):
        for options in adapter.request_options(signature):
            # A reply that calls tools has no text to keep to a form.
            if options and (calls_functions or "response_format" in given):
                continue
            names = frozenset(_names(options)) | ({"tools"} if calls_functions else frozenset())
            if not names & refused:
                yield Manner(options, calls_functions, names)


def was_refused(error: BadRequestError) -> bool:
    """Whether an endpoint refused what was sent, rather than had no room for it or no such model."""
    return not isinstance(error, ContextWindowExceededError) and error.status_code != 404


def remember_refused(endpoint: tuple[str, str], names: frozenset[str]) -> None:
    """An endpoint refused these, and took the request without them."""
    with _lock:
        if len(_refused) >= _MEMORY and endpoint not in _refused:
            _refused.pop(next(iter(_refused)))
        _refused[endpoint] = _refused.get(endpoint, frozenset()) | names


def forget_refusals() -> None:
    """Try everything again."""
    with _lock:
        _refused.clear()


def _names(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        kind = value.get("type") if isinstance(value, Mapping) else None
        yield f"{name}={kind}" if kind else name
