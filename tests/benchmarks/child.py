"""One contender in a fresh process: does the job on the command line, prints what it measured as JSON."""

import time

BEGAN = time.perf_counter()  # before anything else is imported: a cold start counts from here

import asyncio  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from tests.benchmarks.contenders import CONTENDERS, Contender  # noqa: E402


def cold(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds from the interpreter's start to the end of a first, short stream."""
    url = f"{job['url']}/x/20/0/v1"

    async def read() -> None:
        async for _ in contender.open(url)():
            pass

    if contender.asynchronous:
        asyncio.run(read())
    else:
        for _ in contender.open(url)():
            pass
    return {"cold_ms": (time.perf_counter() - BEGAN) * 1e3}


def measured(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """What the job asks for. Imported late: a cold start is without it."""
    if job["figure"] == "cold":
        return cold(contender, job)
    from tests.benchmarks import caching, crowd, lasting, leaving, reading

    figures = {
        "read": reading.read,
        "crowd": crowd.crowd,
        "leave": leaving.leaving,
        "last": lasting.lasting,
        "cache": caching.caching,
    }
    return figures[job["figure"]](contender, job)


def main() -> None:
    """Do it, and leave without waiting for threads that may be stuck for ever."""
    job = json.loads(sys.argv[1])
    try:
        found = measured(CONTENDERS[job["contender"]], job)
    except BaseException as error:  # a peer may end with whatever it likes
        found = {"failed": type(error).__name__, "message": str(error)[:300]}
    print("\n" + json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
