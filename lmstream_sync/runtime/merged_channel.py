"""Several channels read as one, in the order in which their events arrived.

Nothing is copied from channel to channel: an event stays in its own, under that one's
bound, until the reader takes it. What is written down at each push is only where it
came: so many events, in this channel.

Who touches what: `_arrivals` grows under `_counting`, on the loop and, where taking made room,
in the reader's thread, which empties it; `_seen` is guarded by `_counting`; `_open` belongs to
the reader.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from lmstream_sync.runtime.channel import Channel, ChannelEnded

__all__ = ["ENDED", "MergedChannel"]

#: In place of an item: nothing more comes from this channel.
ENDED = object()

#: Seconds between two times that all members are told that their reader reads.
TELL_EVERY = 0.05


class MergedChannel(Channel):
    """The reader's side of several channels; its items are `(place, item)` pairs.

    After the last item of each channel comes `(place, ENDED)`.

    Args:
        channels: what to read; from now on nobody else may.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._told_at = 0.0
        self._call_ended = False
        self._channels = list(channels)
        super().__init__(sum(each.queue_size for each in channels))
        # (place, how many): 0 says to look whether it ended.
        self._arrivals: deque[tuple[int, int]] = deque(
            (place, each.waiting) for place, each in enumerate(channels) if each.waiting
        )
        self._news = threading.Event()
        self._counting = threading.Lock()
        self._open = set(range(len(self._channels)))
        self._seen = [each.arrived for each in self._channels]
        for place, each in enumerate(self._channels):
            each.wake_with(partial(self._came, place))

    # The loop's side.

    def _came(self, place: int) -> None:
        with self._counting:
            arrived = self._channels[place].arrived
            new, self._seen[place] = arrived - self._seen[place], arrived
            self._arrivals.append((place, new))
        self._news.set()
        self._wake()

    def end(self, last: Sequence[Any] = ()) -> None:
        """The call that waits for all is done, or was cancelled; each member says itself that it ended.

        It has no events of its own, and no last ones.
        """
        self._call_ended = True
        self._news.set()
        self._wake()

    def close(self) -> None:
        """The reader has gone: end, and let go of the channels."""
        self._over = True
        for each in self._channels:
            each.wake_with(None)
        self._news.set()
        self._wake()

    @property
    def arrived(self) -> int:
        """How many events ever found room, in all channels."""
        return sum(each.arrived for each in self._channels)

    # The reader's side.

    @property
    def read_at(self) -> float:
        """When the reader last got an event of any of them: a slow reader of all is none that has gone."""
        return self._told_at

    @read_at.setter
    def read_at(self, when: float) -> None:
        if when - self._told_at >= TELL_EVERY:
            self._told_at = when
            for each in self._channels:
                each.read_at = when

    def take(self, seconds: float) -> list[Any]:
        """See `Channel.take`."""
        until = time.monotonic() + seconds
        while True:
            self._news.clear()
            taken = self.take_now()
            if taken or not self._news.wait(max(0.0, until - time.monotonic())):
                return taken

    def take_now(self, most: int | None = None) -> list[Any]:
        """See `Channel.take_now`; the events of one push at a time."""
        if self._over:
            raise ChannelEnded
        while self._arrivals:
            place, count = self._arrivals.popleft()
            if most is not None and count > most:
                self._arrivals.appendleft((place, count - most))
                count = most
            taken = self._take_from(place, count or None)
            if taken:
                if taken[0][1] is not ENDED and (not count or len(taken) < count):
                    self._arrivals.appendleft((place, max(0, count - len(taken))))  # there is more, or its end
                return taken
        for place in sorted(self._open):  # what ended before
            taken = self._take_from(place, most)
            if taken:
                return taken
        if self._call_ended and not self._open:
            raise ChannelEnded
        return []

    def _take_from(self, place: int, most: int | None) -> list[Any]:
        if place not in self._open:
            return []
        try:
            return [(place, item) for item in self._channels[place].take_now(most)]
        except ChannelEnded:
            self._open.discard(place)
            self._channels[place].wake_with(None)
            return [(place, ENDED)]

    @property
    def waiting(self) -> int:
        """How many events there are to take."""
        return 0 if self._over else sum(self._channels[place].waiting for place in tuple(self._open))

    @property
    def ready(self) -> bool:
        """Whether `take_now` would give something or say that this is the end."""
        open_ = tuple(self._open)
        return self._over or (self._call_ended and not open_) or any(self._channels[place].ready for place in open_)
