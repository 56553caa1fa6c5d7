"""The calls that run in this process.

A call is entered by the thread that makes it and taken out on the loop when its task is done;
each is one step on a dict.
"""

from __future__ import annotations

from typing import Protocol

from lmstream_sync.runtime import fork

__all__ = ["cancel", "enter", "leave", "running_calls"]


class _Running(Protocol):
    """A call, as far as it is known here."""

    stopping: bool

    def is_called(self, name: str) -> bool: ...

    def request_stop(self, reason: str) -> None: ...


#: By their `id()`: most are never asked for a name.
_running: dict[int, _Running] = {}


def enter(call: _Running) -> None:
    """A call is about to start."""
    _running[id(call)] = call


def leave(call: _Running) -> None:
    """It has ended, or could not start."""
    _running.pop(id(call), None)


def cancel(stream_id: str) -> bool:
    """Cancel the program of a stream in this process, by `stream.id`.

    Its reader gets the events that were queued, then `StreamCancelled`.

    Returns:
        Whether it was running.
    """
    call = next((each for each in list(_running.values()) if each.is_called(stream_id)), None)
    if call is None or call.stopping:
        return False
    call.request_stop("cancelled")
    return True


def running_calls() -> int:
    """How many calls run in this process."""
    return len(_running)


# The calls of the parent stay referenced for ever in a forked child: see `loop._buried`.
_parents_calls: list[list[_Running]] = []


def _forget_in_child() -> None:
    _parents_calls.append(list(_running.values()))
    _running.clear()


fork.after_fork_in_child(_forget_in_child)
