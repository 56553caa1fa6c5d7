"""In the child: µs a chunk, and the time to the first text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.benchmarks.contenders import Contender, Start


def read(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Read streams to their ends.

    Args:
        contender: what reads.
        job: `url`; `chunks`, `repeats` of the long streams; `firsts`, how many short ones.
    """
    long, short = f"{job['url']}/x/{job['chunks']}/0/v1", f"{job['url']}/x/3/5/v1"
    if contender.asynchronous:
        return asyncio.run(_aread(contender, job, long, short))
    start = contender.open(long)
    check(text(contender, start), job["chunks"])
    timed = [timing(start, job["chunks"]) for _ in range(job["repeats"])]
    start = contender.open(short)
    firsts = [first_text(contender, start) for _ in range(job["firsts"] + 2)][2:]
    return {**columns(timed), "first_ms": firsts}


async def _aread(contender: Contender, job: dict[str, Any], long: str, short: str) -> dict[str, Any]:
    start = contender.open(long)
    check("".join([contender.text(item) async for item in start()]), job["chunks"])
    timed = [await atiming(start, job["chunks"]) for _ in range(job["repeats"])]
    start = contender.open(short)
    firsts = [await afirst_text(contender, start) for _ in range(job["firsts"] + 2)][2:]
    return {**columns(timed), "first_ms": firsts}


def columns(timed: list[tuple[float, float, int]]) -> dict[str, Any]:
    """The timings by what they are."""
    return {"us": [each[0] for each in timed], "cpu_us": [each[1] for each in timed], "items": timed[-1][2]}


def text(contender: Contender, start: Start) -> str:
    """All the text of a stream."""
    return "".join(contender.text(item) for item in start())


def check(found: str, chunks: int) -> None:
    """A contender that reads half of it would be twice as fast.

    Raises:
        ValueError: the text is too short.
    """
    if len(found) < 3 * (chunks - 20):
        raise ValueError(f"{len(found)} characters came in {chunks} chunks")


def timing(start: Start, chunks: int) -> tuple[float, float, int]:
    """Wall and CPU time in µs a chunk, and how many things were read."""
    items = 0
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in start():
        items += 1
    took = time.perf_counter() - wall, time.process_time() - cpu
    return took[0] / chunks * 1e6, took[1] / chunks * 1e6, items


async def atiming(start: Start, chunks: int) -> tuple[float, float, int]:
    """The same of an asynchronous iterator."""
    items = 0
    cpu, wall = time.process_time(), time.perf_counter()
    async for _ in start():
        items += 1
    took = time.perf_counter() - wall, time.process_time() - cpu
    return took[0] / chunks * 1e6, took[1] / chunks * 1e6, items


def first_text(contender: Contender, start: Start) -> float:
    """Milliseconds from the call to the first word; the stream is read to its end."""
    began, came = time.perf_counter(), None
    stream: Iterator[Any] = start()
    for item in stream:
        if came is None and "T" in contender.text(item):
            came = time.perf_counter()
    return ((came or time.perf_counter()) - began) * 1e3


async def afirst_text(contender: Contender, start: Start) -> float:
    """The same of an asynchronous iterator."""
    began, came = time.perf_counter(), None
    stream: AsyncIterator[Any] = start()
    async for item in stream:
        if came is None and "T" in contender.text(item):
            came = time.perf_counter()
    return ((came or time.perf_counter()) - began) * 1e3
