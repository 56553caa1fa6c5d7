"""Which contenders are measured, how often, for each figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks import environment
from tests.benchmarks.contenders import CONTENDERS

OURS = ["ours", "ours_async", "ours_raw", "ours_litellm", "ours_litellm_async", "ours_litellm_raw"]
PEERS = ["httpx", "openai", "langchain", "pydantic_ai", "litellm", "litellm_sync", "dspy", "dspy_listener"]
FIGURES = ["read", "start", "crowd", "leave", "last", "cache"]

#: So many more rounds for what is soon measured: now and then a whole process runs at half speed.
MORE = 4


@dataclass(frozen=True)
class Plan:
    """One measurement.

    Attributes:
        figure: what the child does.
        key: where the results go; a figure may have several plans.
        contenders: who is measured.
        rounds: how often, one after the other.
        job: what the child is told besides.
        limit: seconds after which a contender counts as stalled.
    """

    figure: str
    key: str
    contenders: Sequence[str]
    rounds: int
    job: dict[str, Any] = field(default_factory=dict)
    limit: float = 120


def plans(rounds: int, quick: bool, long: bool) -> list[Plan]:
    """Everything there is to measure, in order."""
    everybody = ["aiohttp", "aiohttp_lines", *PEERS, *OURS]
    one = 1 if quick else rounds
    more = 1 if quick else rounds + MORE
    read = {"chunks": 2000, "repeats": 1 if quick else 3, "firsts": 5 if quick else 15}
    at_once = {"chunks": 50, "delay": 20, "limit": 40}
    ours_at_once = ["aiohttp", "ours", "ours_async"]
    sparing = ["openai", "dspy_listener"] if quick else PEERS
    cold = ["aiohttp", "httpx", "openai", "langchain", "pydantic_ai", "litellm", "dspy_listener", *OURS[:4]]
    last = ["aiohttp", "ours", "ours_async"] if quick else ["aiohttp", "openai", "dspy_listener", *OURS[:4]]
    left = ["aiohttp", "openai", *OURS[:4]] if quick else [each for each in everybody if each != "dspy"]
    imported = ["", *dict.fromkeys(each.imports for each in CONTENDERS.values())]
    marks = [200, 600] if quick else [500, 2000, *([10_000] if long else [])]
    return [
        Plan("read", "read", everybody, one, read),
        Plan("read", "read", ours_at_once, more - one, read),
        Plan("start", "start", imported, 2 if quick else rounds + 2),
        Plan("cold", "start_cold", ["aiohttp", "dspy_listener", "ours"] if quick else cold, one),
        *(
            Plan("crowd", f"crowd_{streams}", ours_at_once, more, at_once | {"streams": streams})
            for streams in ((100, 300) if quick else (100, 300, 1000))
        ),
        Plan("crowd", "crowd_300", [*sparing, "ours_litellm"], 1, at_once | {"streams": 300}),
        Plan("crowd", "crowd_300", ["dspy_limited"], 0 if quick else 1, at_once | {"streams": 300, "limit": 15}),
        Plan("leave", "leave", left, 1, {"repeats": 3 if quick else 10}),
        Plan("last", "last", last, 1, {"chunks": 20, "marks": marks}, limit=600),
        Plan("cache", "cache", ["dspy_listener", "ours"], more, {"calls": 200 if quick else 1000}),
    ]


class Results:
    """What was measured: key → contender → name of a value → all its values."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, dict[str, list[Any]]]] = {}
        #: key → contender → why it has no values.
        self.failures: dict[str, dict[str, str]] = {}

    def add(self, key: str, contender: str, found: dict[str, Any]) -> None:
        """One child is done."""
        if "failed" in found:
            self.failures.setdefault(key, {})[contender] = f"{found['failed']}: {found['message']}"
            return
        values = self.values.setdefault(key, {}).setdefault(contender, {})
        for name, value in found.items():
            values.setdefault(name, []).extend(value if isinstance(value, list) else [value])

    def of(self, key: str, contender: str, name: str) -> list[Any]:
        """All the values of a name that are known."""
        found = self.values.get(key, {}).get(contender, {}).get(name, [])
        return [value for value in found if value is not None]

    def median(self, key: str, contender: str, name: str) -> float | None:
        """The median of the known values, or `None` where there are none."""
        found = self.of(key, contender, name)
        return statistics.median(found) if found else None

    def plain(self) -> dict[str, Any]:
        """For `results.json`: medians, the least and the most, and failures."""
        figures: dict[str, Any] = {}
        for key, contenders in self.values.items():
            for contender, names in contenders.items():
                figures.setdefault(key, {})[contender] = {name: _summary(found) for name, found in names.items()}
        for key, failed in self.failures.items():
            for contender, why in failed.items():
                figures.setdefault(key, {}).setdefault(contender, {})["failed"] = why
        return figures


def _summary(found: list[Any]) -> Any:
    known = [value for value in found if isinstance(value, (int, float))]
    if not known:
        return next((value for value in found if value is not None), None)
    rounded = (round(value, 4) for value in (statistics.median(known), min(known), max(known)))
    return dict(zip(("median", "min", "max"), rounded, strict=True)) | {"values": len(known)}


def measure(plan: Plan, url: str, results: Results) -> None:
    """Carry out a plan: rounds outside, contenders inside, so that noise meets all alike."""
    began = time.monotonic()
    for number in range(plan.rounds):
        for contender in plan.contenders:
            if contender in results.failures.get(plan.key, {}):
                continue
            if plan.figure == "start":
                found = environment.importing(contender)
            else:
                job = {"contender": contender, "figure": plan.figure, "url": url, **plan.job}
                found = environment.child(job, plan.limit)
            results.add(plan.key, contender, found)
            if "failed" in found:
                print(f"  {contender}: {found['failed']}: {found['message']}", flush=True)
        took = time.monotonic() - began
        print(f"{plan.key} ({plan.figure}): round {number + 1} of {plan.rounds}, {took:.0f} s", flush=True)
