"""The ways in which one request can be sent: with options that not every endpoint takes, then without.

What an endpoint refused is remembered by model and address, in this process, so that the next
request does not try it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

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


_PLAINLY: Final = (Manner(MappingProxyType({}), False, frozenset()),)


def manners(
    adapter: Adapter,
    signature: SignatureMeta,
    *,
    functions: bool,
    given: Callable[[], Mapping[str, Any]],
    endpoint: Callable[[], tuple[str, str]],
) -> Sequence[Manner]:
    """The ways to try, the best first; at least one.

    Args:
        adapter: says which options help.
        signature: the run's.
        functions: whether there are tools to tell the model of by the wire format.
        given: gives the user's own options, which win; asked only where there is a choice.
        endpoint: gives model and address; asked only then, too.
    """
    helping = adapter.request_options(signature)
    if not functions and not any(helping):
        return _PLAINLY
    users = given()
    refused = _refused.get(endpoint(), frozenset())
    found: list[Manner] = []
    for calls_functions in (True, False) if functions else (False,):
        for options in helping:
            # A reply that calls tools has no text to keep to a form.
            if options and (calls_functions or "response_format" in users):
                continue
            names = frozenset(_names(options)) | ({"tools"} if calls_functions else frozenset())
            if not names & refused:
                found.append(Manner(options, calls_functions, names))
    return found


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
