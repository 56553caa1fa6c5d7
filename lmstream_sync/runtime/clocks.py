"""What code asks of the clocks of a call: the limits to start it with, a request's clock, `touch`."""

from __future__ import annotations

from lmstream_sync.errors import StreamError
from lmstream_sync.runtime.call import current_call
from lmstream_sync.runtime.deadlines import RequestClock
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.settings import settings

__all__ = ["limits_asked", "request_clock", "touch"]


def limits_asked(own: Timeout | None = None) -> Timeout:
    """The limits that are asked for here: those of `context` over `own`. A `Call` adds what is left open."""
    return _of_context().over(own)


_nothing_asked = Timeout()


def _of_context() -> Timeout:
    return Timeout.of(settings.override("timeout")) or _nothing_asked


def touch() -> None:
    """Something moved (a tool, model or module began or ended): restarts the idle clock."""
    call = current_call.get()
    if call is not None:
        call.clocks.touch()


def request_clock(timeout: Timeout | None) -> RequestClock:
    """The clock round one model request, on the loop, in a call.

    Args:
        timeout: the model's own limits. Those of the call beat them, and those of a
            `context` entered inside the program beat both.
    """
    call = current_call.get()
    if call is None:
        raise StreamError("a model request runs inside a call; use runtime.crossing.run or arun")
    limits = call.clocks.timeout  # those of the call, with what `configure` says
    inside = settings.override("timeout")
    if inside is not None or timeout is not None:
        limits = _of_context().over(call.timeout).over(timeout).over(limits)
    return RequestClock(limits, call)
