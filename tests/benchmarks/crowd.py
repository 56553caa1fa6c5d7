"""In the child: many streams at once. How long they take, how late their pieces are, what they need."""

from __future__ import annotations

import asyncio
import re
import statistics
import threading
import time
from typing import Any

from tests.benchmarks.contenders import Contender, Start
from tests.benchmarks.process import memory, threads

SENT = re.compile(r" T(\d+\.\d{6})")


class Crowd:
    """What many readers put down.

    Attributes:
        wanted: how many streams there are.
        text: the text in what a contender yields.
        came: for each stream the texts it read, each with the time it came.
        errors: what readers raised.
    """

    def __init__(self, contender: Contender, wanted: int) -> None:
        self.text = contender.text
        self.wanted = wanted
        self.came: list[list[tuple[float, str]]] = []
        self.errors: list[str] = []
        self.done = 0
        self.threads = 0
        self.memory = 0.0
        self._before = memory()

    def look(self) -> None:
        """Put down how many threads and how much memory there is at this moment."""
        self.threads = max(self.threads, threads())
        self.memory = max(self.memory, memory() - self._before)

    def report(self, wall: float, callers: int) -> dict[str, Any]:
        """Everything as plain values. `callers`: the threads that only read."""
        late: list[float] = []
        for stream in self.came:
            for when, text in stream:
                late += [when - float(sent) for sent in SENT.findall(text)]
        late.sort()
        return {
            "wall_s": wall,
            "unfinished": self.wanted - self.done,
            "errors": len(self.errors),
            "error": self.errors[0] if self.errors else None,
            "threads": max(0, self.threads - callers),
            "memory_mb": self.memory,
            "late_p50_ms": statistics.median(late) * 1e3 if late else None,
            "late_p99_ms": late[int(len(late) * 0.99)] * 1e3 if late else None,
        }


def crowd(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Read many streams at once, after one alone.

    Args:
        contender: what reads.
        job: `url`; `streams`, how many; `chunks` in each, `delay` between them in ms; `limit`,
            seconds after which those that are not over count as unfinished.
    """
    url = f"{job['url']}/x/{job['chunks']}/{job['delay']}/v1"
    seen = Crowd(contender, job["streams"])
    if contender.asynchronous:
        return asyncio.run(_acrowd(contender, job, url, seen))
    start = contender.open(url)
    for _ in start():
        pass
    begin = threading.Event()
    readers = [threading.Thread(target=_reader, args=(start, begin, seen), daemon=True) for _ in range(job["streams"])]
    for reader in readers:
        reader.start()
    began = time.perf_counter()
    begin.set()
    while seen.done + len(seen.errors) < seen.wanted and time.perf_counter() - began < job["limit"]:
        time.sleep(0.02)
        if not seen.threads or int((time.perf_counter() - began) * 50) % 10 == 0:
            seen.look()
    wall = time.perf_counter() - began
    return seen.report(wall, job["streams"] + 1)


def _reader(start: Start, begin: threading.Event, seen: Crowd) -> None:
    came: list[tuple[float, str]] = []
    begin.wait()
    try:
        for item in start():
            came.append((time.monotonic(), seen.text(item)))
    except Exception as error:
        seen.errors.append(f"{type(error).__name__}: {error}"[:200])
        return
    seen.came.append(came)
    seen.done += 1


async def _acrowd(contender: Contender, job: dict[str, Any], url: str, seen: Crowd) -> dict[str, Any]:
    start = contender.open(url)
    async for _ in start():
        pass
    began = time.perf_counter()
    tasks = [asyncio.ensure_future(_areader(start, seen)) for _ in range(job["streams"])]
    waiting = asyncio.ensure_future(_looking(seen))
    await asyncio.wait(tasks, timeout=job["limit"])
    wall = time.perf_counter() - began
    waiting.cancel()
    return seen.report(wall, 1)


async def _areader(start: Start, seen: Crowd) -> None:
    came: list[tuple[float, str]] = []
    try:
        async for item in start():
            came.append((time.monotonic(), seen.text(item)))
    except Exception as error:
        seen.errors.append(f"{type(error).__name__}: {error}"[:200])
        return
    seen.came.append(came)
    seen.done += 1


async def _looking(seen: Crowd) -> None:
    while True:
        await asyncio.sleep(0.2)
        seen.look()
