"""`Agenda`: one timer of an event loop for many that are to look at the clock at some time.

Nearly all of them are over long before that. A timer of asyncio's for each is three objects that
the garbage collector goes through, and takes longer to set and to cancel than all else that
the clocks of a call do.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import weakref
from typing import Protocol

__all__ = ["Agenda", "agenda_of"]

#: Seconds that one may be late, so that many that are due one after the other are looked at together.
_GRAIN = 0.02


class _Looking(Protocol):
    """Somebody on the agenda; compared by identity."""

    def look(self) -> None: ...


class Agenda:
    """Who is to be called when, on one loop. Used on that loop's thread alone.

    The timer is left as it is where nobody waits for it any more: it holds nothing, and the next
    one will mostly find it set early enough.
    """

    __slots__ = ("__weakref__", "_due", "_goes_off", "_timer")

    def __init__(self) -> None:
        self._due: dict[_Looking, float] = {}
        #: When the timer goes off; and itself, weakly, as it refers to its loop, which this must not outlive.
        self._goes_off = math.inf
        self._timer: weakref.ref[asyncio.TimerHandle] | None = None

    def put(self, who: _Looking, at: float) -> None:
        """Have `who.look()` called at this time of the loop, once, in the place of any other time."""
        self._due[who] = at
        if at < self._goes_off:
            self._go_off(at)

    def put_by(self, who: _Looking, at: float) -> None:
        """The same, but leave an earlier time as it is."""
        known = self._due.get(who)
        if known is None or known > at:
            self.put(who, at)

    def remove(self, who: _Looking) -> None:
        """Do not call it any more."""
        self._due.pop(who, None)

    def __contains__(self, who: _Looking) -> bool:
        return who in self._due

    def _go_off(self, at: float) -> None:
        timer = self._timer() if self._timer is not None else None
        if timer is not None:
            timer.cancel()
        # In a context of its own. Else it would keep the one it is made in, and with it all that a
        # call's variables refer to, until it goes off: minutes.
        timer = asyncio.get_running_loop().call_at(at, self._look, context=contextvars.Context())
        self._goes_off, self._timer = at, weakref.ref(timer)

    def _look(self) -> None:
        self._goes_off, self._timer = math.inf, None
        now = asyncio.get_running_loop().time()
        try:
            for who in [who for who, at in self._due.items() if at <= now]:
                if self._due.get(who, math.inf) <= now:  # one that was called before may have changed that
                    del self._due[who]
                    who.look()
        finally:
            if self._due:
                at = max(min(self._due.values()), now + _GRAIN)
                if at < self._goes_off:
                    self._go_off(at)


_agendas: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Agenda] = weakref.WeakKeyDictionary()


def agenda_of(loop: asyncio.AbstractEventLoop) -> Agenda:
    """The agenda of a loop; on its thread."""
    agenda = _agendas.get(loop)
    if agenda is None:
        agenda = _agendas[loop] = Agenda()
    return agenda
