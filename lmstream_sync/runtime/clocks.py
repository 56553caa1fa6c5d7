"""What code inside a call asks of its clocks: the limits in force, a request's clock, `touch`."""

from __future__ import annotations

from lmstream_sync.errors import StreamError
from lmstream_sync.runtime.call import current_call
from lmstream_sync.runtime.deadlines import RequestClock
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.settings import settings

__all__ = ["request_clock", "timeout_in_force", "touch"]


def timeout_in_force(own: Timeout | None = None) -> Timeout:
    """The limits that hold here: `context` over `own` over `configure` over the defaults."""
    limits = Timeout()
    for wider in (
        Timeout.of(settings.override("timeout")),
        own,
        Timeout.of(settings.process_wide("timeout")),
    ):
        limits = limits.over(wider)
    return limits


def touch() -> None:
    """Something moved (a tool, model or module began or ended): restarts the idle clock."""
    call = current_call.get()
    if call is not None:
        call.clocks.touch()


def request_clock(timeout: Timeout | None) -> RequestClock:
    """The clock round one model request, on the loop, in a call.

    Args:
        timeout: the model's own limits; those of the call and the context beat them.
    """
    call = current_call.get()
    if call is None:
        raise StreamError("a model request runs inside a call; use runtime.crossing.run or arun")
    own = timeout or Timeout()
    limits = call.timeout.over(own)
    own_total = own.total if not call.timeout.given("total") else None
    own_idle = own.idle if own.given("idle") and not call.timeout.given("idle") else None
    return RequestClock(limits, own_total, own_idle, call.clocks, lambda: call.stopping)
