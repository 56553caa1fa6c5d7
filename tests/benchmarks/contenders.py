"""One contender in a process of its own: reads a stream twice (the first warms up), times the second."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
QUESTION = "Why did a chicken cross the kitchen?"


def litellm_plain(url: str) -> int:
    import litellm

    async def read() -> int:
        stream = await litellm.acompletion(
            model="openai/scripted",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            api_base=url,
            api_key="sk-test",
        )
        return len([chunk async for chunk in stream])

    return LOOP.run_until_complete(read())


def dspy_program(url: str, listen: bool) -> Callable[..., Any]:
    import dspy

    dspy.configure(lm=dspy.LM("openai/scripted", api_base=url, api_key="sk-test", cache=False))
    listeners = [dspy.streaming.StreamListener(signature_field_name="answer")] if listen else None
    return dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=listeners, async_streaming=False)


def our_program(url: str, listen: bool, **options: Any) -> Callable[..., Any]:
    import lmstream_sync as lms

    lms.configure(lm=lms.LM("openai/scripted", api_base=url, api_key="sk-test", cache=False))
    listeners = [lms.StreamListener("answer")] if listen else None
    return lms.streamify(lms.Predict("question -> answer"), stream_listeners=listeners, **options)


def count(program: Callable[..., Any]) -> int:
    return sum(1 for _ in program(question=QUESTION))


async def acount(program: Callable[..., Any]) -> int:
    return len([event async for event in program(question=QUESTION)])


def threads(url: str) -> dict[str, Any]:
    """Open 100 streams, read one event of each, and count the threads."""
    program = our_program(url, True)
    streams = [program(question=QUESTION) for _ in range(100)]
    for stream in streams:
        next(stream)
    names = Counter(thread.name.split("_")[0].split("-0")[0] for thread in threading.enumerate())
    for stream in streams:
        stream.close()
    return {"threads": sum(names.values()), "names": ", ".join(f"{n} × {name}" for name, n in names.items())}


LOOP = asyncio.new_event_loop()


def main() -> None:
    """Measure the contender `argv[1]` against the server `argv[2]`."""
    name, url = sys.argv[1:3]
    if name == "threads":
        print(json.dumps(threads(url)))
        return
    chunks = int(sys.argv[3])
    make: dict[str, Callable[[], Callable[[], int]]] = {
        "litellm": lambda: lambda: litellm_plain(url),
        "dspy": lambda: (lambda program: lambda: count(program))(dspy_program(url, False)),
        # Made anew for each read: DSPy's listeners keep state, and a second call would stream nothing.
        "dspy_listener": lambda: lambda: count(dspy_program(url, True)),
        "ours_raw": lambda: (lambda program: lambda: count(program))(our_program(url, False)),
        "ours_listener": lambda: (lambda program: lambda: count(program))(our_program(url, True)),
        "ours_async": lambda: (lambda program: lambda: LOOP.run_until_complete(acount(program)))(
            our_program(url, True, async_streaming=True)
        ),
    }
    read = make[name]()
    read()
    began = time.perf_counter()
    events = read()
    took = time.perf_counter() - began
    print(json.dumps({"us_per_chunk": took / chunks * 1e6, "events": events}))


if __name__ == "__main__":
    main()
