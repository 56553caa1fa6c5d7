"""What a server does to give one reply, step by step: send, wait, stall, drop. Pure: it only says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lmstream_sync.testing.gate import Gate
from lmstream_sync.testing.reply import Reply
from lmstream_sync.testing.wire import Wire, as_event, as_json

__all__ = ["Drop", "Finish", "Pause", "Send", "Stall", "Step", "streamed_steps", "whole_steps"]


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes, which carry so many tokens of the reply."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait some seconds, or at a gate."""

    until: float | Gate


@dataclass(frozen=True, slots=True)
class Stall:
    """Wait until the test releases every stall."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection; nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The text is out: a reader that goes from here on has had its reply."""


Step: TypeAlias = Send | Pause | Stall | Drop | Finish


def streamed_steps(reply: Reply, wire: Wire) -> Iterator[Step]:
    """A reply as server-sent events."""
    events = wire.pieces() if reply.raw is None else iter(reply.raw)
    total = wire.piece_count if reply.raw is None else len(reply.raw)
    for index in range(total + 1):
        yield from _waits(reply, index, total)
        if _falls(reply.malformed_after, index, total):
            yield Send(wire.malformed())
        if _falls(reply.error_after, index, total):
            yield Send(as_event(wire.error()))
            return
        if _falls(reply.drop_after, index, total):
            yield Drop()
            return
        if index == 0 and reply.raw is None:
            yield from map(Send, wire.opening())
        if index < total:
            yield Send(next(events), 1)
    yield Finish()
    if reply.raw is None:
        yield from map(Send, wire.closing())


def whole_steps(reply: Reply, wire: Wire) -> Iterator[Step]:
    """A reply in one JSON response, after the same waits."""
    if reply.raw is not None:
        yield from streamed_steps(reply, wire)
        return
    total = wire.piece_count
    data = as_json(wire.whole())
    for index in range(total + 1):
        yield from _waits(reply, index, total)
        if _falls(reply.malformed_after, index, total):
            data = data[: len(data) // 2]
        if _falls(reply.error_after, index, total):
            data, total = as_json(wire.error()), 0
            break
        if _falls(reply.drop_after, index, total):
            if index:
                yield Send(data[: len(data) // 2])
            yield Drop()
            return
    yield Finish()
    yield Send(data, total)


def _waits(reply: Reply, index: int, total: int) -> Iterator[Step]:
    """The waits before a piece, or (`index == total`) before the end."""
    if reply.delay and 0 < index < total:
        yield Pause(reply.delay)
    if index in reply.pauses:
        yield Pause(reply.pauses[index])
    if _falls(reply.stall_after, index, total):
        yield Stall()


def _falls(place: int | None, index: int, total: int) -> bool:
    """Whether what happens after `place` pieces happens here."""
    return place is not None and min(place, total) == index
