"""What an open stream is made of: the garbage collector goes through all of it, for each one, again and again."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from types import CoroutineType
from typing import Any

import lmstream_sync as lms
from lmstream_sync.streaming.status import StatusSender
from lmstream_sync.testing import Reply

from .replies import chat

STREAMS = 20

#: Objects of our classes, and coroutines of ours, that one open stream of a `Predict` may consist of.
MOST = 52


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
