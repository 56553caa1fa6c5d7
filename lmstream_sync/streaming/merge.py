"""`merge`: several streams read as one.

No task copies events: the merged stream takes them from its members' own channels
(`runtime/merged_channel.py`), in the thread that reads it, and hands each out through the
member it came from. So a member keeps its own bound, accounts and `on_end` functions, and
its `partial` says what was handed out through the merge. The merged stream has a call of
its own, which only waits for the members' calls and passes a stop on to them.

Who owns what: the merged stream refers to its members, never the other way round (a member
knows by a weak reference that it is read elsewhere), so that the last reference to the
merged stream gone stops all. A member marked so is read by nobody else until the merged
stream is gone.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Literal

from lmstream_sync.errors import ConfigurationError, ListenerError
from lmstream_sync.events import MergedEvent
from lmstream_sync.lm.usage import COUNTS
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.merged_channel import ENDED, MergedChannel
from lmstream_sync.runtime.reading import NOTHING
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.together import stop_all, until_all_done
from lmstream_sync.runtime.waiting import Watch
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.streaming.views import Pieces

__all__ = ["merge"]


def merge(*unnamed: Any, on_error: Literal["raise", "yield"] = "raise", **streams: Stream | AsyncStream) -> Stream:
    """Read several streams as one: a `Stream` of `(name, event)` (`MergedEvent`) as events arrive.

        with lms.merge(short=summary(text=text), long=report(text=text)) as both:
            for name, event in both:
                ...

    Each stream is held back by its own `queue_size` while nobody reads. Leaving the merged
    stream, in whatever way, closes all of them; from here on they are read through it only.
    A stream that was read in part goes on where it was.

    Of the merged stream, `result()` is a dict, name → final value (with `"yield"` the
    exception of one that failed; `None` for one that was closed by itself); `partial` has
    the texts of all as `name.field`; `text("name.field")` reads one of them and drops the
    other events; `usage` and `cost` are sums; `prediction` is `None`. Each member's own are
    where they always were.

    Args:
        on_error: `"raise"`: the error of one is raised, after all events that came before
            it, and the others are closed; `"yield"`: it comes as `(name, exception)` and
            the others go on.
        **streams: the streams, by the names that their events shall bear.

    Raises:
        ConfigurationError: no streams, one without a name, one twice, one that has ended or
            was closed, or something that is no stream.
        StreamError: a stream is being read by another thread, or by another `merge`.
        StreamForked, LoopDied: see `errors`.
    """
    if unnamed:
        raise ConfigurationError("merge() takes its streams by name: merge(first=stream, second=other)")
    if on_error not in ("raise", "yield"):
        raise ConfigurationError(f'merge(on_error={on_error!r}): give "raise" or "yield"')
    if not streams:
        raise ConfigurationError("merge() has no streams; give some by name: merge(first=stream, second=other)")
    members = {name: _checked(name, each) for name, each in streams.items()}
    if len(set(map(id, members.values()))) < len(members):
        raise ConfigurationError(f"merge({', '.join(members)}): one stream is there twice")
    for each in members.values():
        each._begin_turn()  # refuses a stream that somebody reads
        each._turn.release()
    return _Merged(members, on_error == "yield")


def _checked(name: str, given: Any) -> Stream:
    stream = given.stream if isinstance(given, AsyncStream) else given
    if not isinstance(stream, Stream):
        made = " (a streamified program: call it)" if callable(given) else ""
        raise ConfigurationError(f"merge({name}=...) takes a Stream, not a {type(given).__name__}{made}")
    if stream.closed:
        raise ConfigurationError(f"merge({name}=...): this stream {'was closed' if not stream._ended else 'has ended'}")
    Watch(stream._call).look()
    return stream


class _Merged(Stream):
    """The events of several streams, each with the name of its stream."""

    _long_way = True

    def __init__(self, members: Mapping[str, Stream], yields: bool) -> None:
        self._names = list(members)
        self._members = list(members.values())
        self._yields = yields
        names, calls = self._names, [each._call for each in self._members]

        async def run(call: Call) -> dict[str, Any]:
            await until_all_done(call, calls)
            return {
                name: each.result if each.completed else each.error for name, each in zip(names, calls, strict=True)
            }

        channel = MergedChannel([each._channel for each in self._members])
        # Each member has deadlines of its own.
        limits = Timeout(idle=None, total=None, reader=None)
        call = Call(run, channel, limits, f"merge({', '.join(names)})")
        call.takes_events = False
        call.when_done(lambda: stop_all(calls, "left"))  # also where its task never took a step
        super().__init__(call)
        self._when_ended = [_leave_members]
        for place, each in enumerate(self._members):
            each._read_by = weakref.ref(self)
            self._batch.extend((place, item) for item in each._batch)  # taken by its reader, not yet handed out
            each._batch.clear()

    def _running(self) -> list[Call]:
        # Its own task waits for those of its members, but not where it was stopped before its first step.
        return super()._running() or [each._call for each in self._members if not each._call.done.is_set()]

    def _feed(self) -> None:
        for member in self._members:
            if not member.closed:
                member._feed()

    def _hand_out(self, item: Any) -> Any:
        place, raw = item
        if self._gave_up:
            return NOTHING
        if raw is ENDED:
            return self._member_ended(place)
        event = self._members[place]._hand_out(raw)
        return NOTHING if event is NOTHING else MergedEvent(self._names[place], event)

    def _member_ended(self, place: int) -> Any:
        """Everything of one member was handed out."""
        member = self._members[place]
        member._read_by = None
        error: BaseException | None = None
        try:
            if not member._closing:
                member._end_reached()
        except BaseException as raised:
            # Without the frames of this stream, which whoever keeps the error would keep.
            error = raised.with_traceback(member._trace)
        if error is None or self._call.reason is not None:
            return NOTHING
        if self._yields and isinstance(error, Exception):
            return MergedEvent(self._names[place], error)
        self._give_up(error)
        self._batch.clear()
        self._call.request_stop("left")
        return NOTHING

    def _shown(self, item: Any) -> Any:
        place, raw = item
        member = self._members[place]
        if raw is not ENDED:
            shown = member._shown(raw)
            return NOTHING if shown is NOTHING else MergedEvent(self._names[place], shown)
        error = member._call.error
        if error is None or member._closing or self._call.reason is not None:
            return NOTHING
        if self._yields and isinstance(error, Exception):
            return MergedEvent(self._names[place], error)
        raise self._decorated(error).with_traceback(error.__traceback__)

    def _is_output(self, item: Any) -> bool:
        place, raw = item
        return raw is ENDED or self._members[place]._is_output(raw)

    def _texts(self, kind: type[Pieces], field: str | None) -> Pieces:
        name, _, inner = (field or "").partition(".")
        if name not in self._names:
            raise ListenerError(
                f"name a stream and its field, such as text('{self._names[0]}.answer'); there are "
                + ", ".join(self._names)
            )
        return self._members[self._names.index(name)]._texts(kind, inner or None)

    @property
    def partial(self) -> dict[str, str]:
        """`name.field` → the text of that stream's field handed out so far."""
        return {
            f"{name}.{field}": text
            for name, member in zip(self._names, self._members, strict=True)
            for field, text in member.partial.items()
        }

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """Model → tokens so far, of all streams together."""
        sums: dict[str, dict[str, Any]] = {}
        for member in self._members:
            for model, counts in member.usage.items():
                summed = sums.setdefault(model, dict.fromkeys(COUNTS, 0))
                for key in COUNTS:
                    summed[key] += counts[key]
                if counts.get("estimated"):
                    summed["estimated"] = True
        return sums

    @property
    def cost(self) -> float | None:
        """US dollars so far, of all streams together; `None` where no price is known."""
        known = [cost for member in self._members if (cost := member.cost) is not None]
        return sum(known) if known else None

    @property
    def timings(self) -> dict[str, float | None]:
        """Seconds from the merge: `first` to the first output of any stream, `total` to the end of all."""
        firsts = [at for member in self._members if (at := member._call.first_at) is not None]
        first = max(0.0, min(firsts) - self._call.began) if firsts else None
        return {**super().timings, "first": first}


def _leave_members(merged: _Merged) -> None:
    """The merged stream ended: so do those that have not, in the same thread."""
    batch = merged._batch
    while batch:
        place, raw = batch.popleft()
        if raw is not ENDED:
            merged._members[place]._batch.append(raw)  # not handed out: it was not read to its end
    for member in merged._members:
        member._read_by = None
        if member._begin_close():
            member._settle_close()
