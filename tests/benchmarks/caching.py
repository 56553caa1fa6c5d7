"""In the child: a call that the cache answers, plain and streamified."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.contenders import QUESTION, Contender, dspy_program, our_program


def caching(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Call a program again and again with the same question.

    Args:
        contender: `ours` or `dspy_listener`.
        job: `url`; `calls`, how many are timed.
    """
    url = f"{job['url']}/x/20/0/v1"
    make = _ours if contender.imports == "lmstream_sync" else _dspy
    program, streamified = make(url)
    return {
        "plain_us": timed(lambda: program(question=QUESTION), job["calls"]),
        "streamified_us": timed(lambda: list(streamified(question=QUESTION)), job["calls"]),
    }


def timed(call: Callable[[], Any], calls: int) -> float:
    """The median of µs a call, after a few that fill the cache."""
    for _ in range(5):
        call()
    took: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def _ours(url: str) -> tuple[Any, Any]:
    import lmstream_sync as lms

    program = our_program(url, "auto", cache=True)
    return program, lms.streamify(program, stream_listeners=[lms.StreamListener("answer")])


def _dspy(url: str) -> tuple[Any, Any]:
    import dspy

    dspy.configure_cache(enable_disk_cache=False)  # a hit comes from memory either way
    program = dspy_program(url, cache=True)

    def streamified(**inputs: Any) -> Any:
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        return dspy.streamify(program, stream_listeners=[listener], async_streaming=False)(**inputs)

    return program, streamified
