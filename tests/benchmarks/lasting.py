"""In the child: many streams one after the other. What of memory and descriptors is left of them?"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.benchmarks.contenders import Contender
from tests.benchmarks.process import descriptors, memory


def lasting(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Read streams to their ends and look in between.

    Args:
        contender: what reads.
        job: `url`; `chunks` in each stream; `marks`, the numbers of streams after which to look.
    """
    url = f"{job['url']}/x/{job['chunks']}/0/v1"
    if contender.asynchronous:
        return asyncio.run(_alasting(contender, job, url))
    start = contender.open(url)
    seen: list[tuple[float, int]] = []
    for number in range(1, max(job["marks"]) + 1):
        for _ in start():
            pass
        if number in job["marks"]:
            seen.append((memory(), descriptors()))
    return growth(seen, job)


async def _alasting(contender: Contender, job: dict[str, Any], url: str) -> dict[str, Any]:
    start = contender.open(url)
    seen: list[tuple[float, int]] = []
    for number in range(1, max(job["marks"]) + 1):
        async for _ in start():
            pass
        if number in job["marks"]:
            seen.append((memory(), descriptors()))
    return growth(seen, job)


def growth(seen: list[tuple[float, int]], job: dict[str, Any]) -> dict[str, Any]:
    """How much more there was at each look than at the first."""
    found: dict[str, Any] = {}
    for mark, (megabytes, files) in zip(job["marks"][1:], seen[1:], strict=True):
        found[f"memory_mb_{mark}"] = megabytes - seen[0][0]
        found[f"descriptors_{mark}"] = files - seen[0][1]
    return found
