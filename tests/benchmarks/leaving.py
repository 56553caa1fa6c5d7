"""In the child: a reader that leaves with `break`, the cyclic collector off. When does the server see it?"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import time
import urllib.request
from contextlib import suppress
from typing import Any

from tests.benchmarks.contenders import Contender

#: Pieces sent before the reader leaves, about, and how many the server would send in all.
READ, CHUNKS, DELAY = 5, 120, 20


def leaving(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Leave some streams.

    Args:
        contender: what reads.
        job: `url`; `repeats`, how many streams are left, one after the other.
    """
    if contender.asynchronous:
        return asyncio.run(_aleaving(contender, job))
    found: list[dict[str, Any]] = []
    for number in range(job["repeats"]):
        start = contender.open(f"{job['url']}/watch{number}/{CHUNKS}/{DELAY}/v1")
        gc.collect()
        gc.disable()
        words, left = 0, time.monotonic()
        for item in start():
            words += contender.text(item).count("T")
            if words >= READ:
                left = time.monotonic()
                break
        while not (seen := look(job["url"], number, left))["over"]:
            time.sleep(0.005)
        gc.enable()
        found.append(seen)
        if seen["closed_ms"] is None:
            break  # it does not get better
    return report(found)


async def _aleaving(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for number in range(job["repeats"]):
        start = contender.open(f"{job['url']}/watch{number}/{CHUNKS}/{DELAY}/v1")
        gc.collect()
        gc.disable()
        words, left = 0, time.monotonic()
        stream = start()
        async for item in stream:
            words += contender.text(item).count("T")
            if words >= READ:
                left = time.monotonic()
                break
        if inspect.isasyncgen(stream):
            # `contenders.py` made it of what stands in its user's own function, which a `break` would leave.
            with suppress(Exception, GeneratorExit):
                await stream.aclose()
        stream = None
        while not (seen := look(job["url"], number, left))["over"]:
            await asyncio.sleep(0.005)
        gc.enable()
        found.append(seen)
        if seen["closed_ms"] is None:
            break
    return report(found)


def look(url: str, number: int, left: float) -> dict[str, Any]:
    """What the server has seen of a stream that was left at a time."""
    with urllib.request.urlopen(f"{url}/watch{number}") as response:
        seen = json.load(response)
    return {
        "over": seen["closed"] is not None or len(seen["sent"]) >= CHUNKS,
        "closed_ms": None if seen["closed"] is None else (seen["closed"] - left) * 1e3,
        "sent_after": sum(1 for sent in seen["sent"] if sent > left),
    }


def report(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures by what they are."""
    return {"closed_ms": [each["closed_ms"] for each in found], "sent_after": [each["sent_after"] for each in found]}
