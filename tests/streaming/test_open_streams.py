"""What an open stream is made of, which the garbage collector goes through again and again, and what a piece takes."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections import Counter
from types import CoroutineType
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.channel import Channel
from lmstream_sync.runtime.crossing import run
from lmstream_sync.streaming.status import StatusSender
from lmstream_sync.testing import Gate, Reply

from .replies import chat

STREAMS = 20

#: Calls of functions of ours, and coroutines of ours that go on, for a piece that comes by itself: 53 of CPython 3.11.
MOST_CALLS = 55

#: Objects of our classes, and coroutines of ours, that one open stream of a `Predict` may consist of.
MOST = 48


def tracked() -> Counter[str]:
    """What the collector goes through, of ours and of the kinds that are none of a stream's affair."""
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        module = str(getattr(kind, "__module__", ""))
        if kind is CoroutineType and "lmstream_sync/" in each.cr_code.co_filename.replace("\\", "/"):
            found[f"coroutine {each.__qualname__}"] += 1
        elif module.startswith("lmstream_sync.") and not module.startswith("lmstream_sync.testing"):
            found[kind.__qualname__] += 1
        elif kind is threading.Condition:
            found["Condition"] += 1
    return found


def test_an_open_stream_is_made_of_few_objects(serve: Any) -> None:
    serve([Reply(chat(answer="one two three four"), stall_after=12)] * (2 * STREAMS))
    program = lms.streamify(
        lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
    )

    async def opened() -> list[Any]:
        streams = [program(q="?") for _ in range(STREAMS)]
        for each in streams:
            await each.__anext__()
        return streams

    async def main() -> Counter[str]:
        first = await opened()
        gc.collect()
        before = tracked()
        more = await opened()
        grown = tracked() - before
        for each in first + more:
            await each.aclose()
        return grown

    grown = asyncio.run(main())
    each = {name: count / STREAMS for name, count in grown.items() if count >= STREAMS}
    assert sum(each.values()) <= MOST, each
    # What most streams have no need of is made for those that do.
    assert grown["Condition"] < STREAMS and not grown[StatusSender.__qualname__]


def test_a_piece_takes_few_calls(serve: Any) -> None:
    pieces, begin = 40, 10
    gates = [Gate() for _ in range(pieces)]
    words = [f" w{number}" for number in range(pieces)]
    reply = Reply(pieces=["[[ ## answer ## ]]\n", *words], pauses={1 + at: gate for at, gate in enumerate(gates)})
    serve([reply])
    program = lms.streamify(
        lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
    )
    calls: Counter[str] = Counter()

    def saw(frame: Any, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename.replace("\\", "/")
        if event == "call" and "/lmstream_sync/" in file and "/testing/" not in file:
            calls[f"{file.rpartition('/')[2]} {frame.f_code.co_name}"] += 1

    async def count_on_the_loop(how: Any) -> None:
        sys.setprofile(how)

    async def main() -> None:
        stream = program(q="?")
        for number, gate in enumerate(gates):
            if number == begin:
                sys.setprofile(saw)
                run(lambda: count_on_the_loop(saw), instead="")
                calls.clear()
            gate.release()
            await stream.__anext__()
        run(lambda: count_on_the_loop(None), instead="")
        sys.setprofile(None)
        await stream.aclose()

    asyncio.run(main())
    each = {name: round(count / (pieces - begin), 1) for name, count in calls.most_common()}
    assert sum(calls.values()) <= MOST_CALLS * (pieces - begin), each


def test_what_one_read_brings_crosses_as_one_item(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deltas = ["[[ ## answer ## ]]\n", *(f"w{number} " for number in range(100)), "\n\n[[ ## completed ## ]]"]
    chunks = [f'{{"choices":[{{"index":0,"delta":{{"content":{json.dumps(each)}}}}}]}}' for each in deltas]
    end = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    # In one HTTP chunk, which one read takes.
    serve([Reply(raw=["".join(f"data: {each}\n\n" for each in (*chunks, end, "[DONE]")).encode()])])
    crossed: list[int] = []
    offer = Channel.offer

    def counted(self: Channel, events: Any) -> bool:
        crossed.append(len(events))
        return offer(self, events)

    monkeypatch.setattr(Channel, "offer", counted)
    program = lms.streamify(
        lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], queue_size=1_000
    )
    events = [event for event in program(q="?") if isinstance(event, lms.StreamResponse)]
    assert "".join(event.chunk for event in events) == "".join(deltas[1:-1]).rstrip()
    # Every piece as an event of its own, and all of them at once.
    assert len(events) >= 100 and max(crossed) == len(events)
