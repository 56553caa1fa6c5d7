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
    rest = [] if quick else ["openai", "dspy_listener", "ours_raw", "ours_litellm"]
    left = ["aiohttp", "openai", *OURS[:4]] if quick else [each for each in everybody if each != "dspy"]
    imported = ["", *dict.fromkeys(each.imports for each in CONTENDERS.values())]
    marks = [200, 600] if quick else [500, 2000]
    long_marks = marks if quick else [*marks, 10_000]
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
        Plan("last", "last", ours_at_once, 1, {"chunks": 20, "marks": long_marks}, limit=600),
        Plan("last", "last", rest, 1, {"chunks": 20, "marks": long_marks if long else marks}, limit=600),
        Plan("cache", "cache", ["dspy_listener", "ours"], more, {"calls": 200 if quick else 1000}),
    ]


class Results:
    """What was measured: key → contender → what each round gave, as name of a value → its values."""

    def __init__(self) -> None:
        self.rounds: dict[str, dict[str, list[dict[str, list[Any]]]]] = {}
        #: key → contender → why it has no values.
        self.failures: dict[str, dict[str, str]] = {}

    def add(self, key: str, contender: str, found: dict[str, Any]) -> None:
        """One child is done."""
        if "failed" in found:
            self.failures.setdefault(key, {})[contender] = f"{found['failed']}: {found['message']}"
            return
        values = {name: value if isinstance(value, list) else [value] for name, value in found.items()}
        self.rounds.setdefault(key, {}).setdefault(contender, []).append(values)

    def contenders(self, key: str) -> list[str]:
        """Who was measured, in order."""
        return list(self.rounds.get(key, {}))

    def number(self, key: str, contender: str) -> int:
        """How many rounds there were."""
        return len(self.rounds.get(key, {}).get(contender, ()))

    def names(self, key: str, contender: str) -> list[str]:
        """The values that a contender has."""
        found = self.rounds.get(key, {}).get(contender, ())
        return list(dict.fromkeys(name for values in found for name in values))

    def of(self, key: str, contender: str, name: str, *, unknown: bool = False) -> list[Any]:
        """All the values of a name, those that are not known only where asked for."""
        found = self.rounds.get(key, {}).get(contender, ())
        values = [value for each in found for value in each.get(name, ())]
        return values if unknown else [value for value in values if value is not None]

    def median(self, key: str, contender: str, name: str) -> float | None:
        """The median of the known values, or `None` where there are none."""
        found = self.of(key, contender, name)
        return statistics.median(found) if found else None

    def ratio(self, key: str, ours: str, theirs: str, name: str) -> float | None:
        """How many times theirs ours is: the median of what each round says.

        A machine that others use changes its speed from minute to minute, and both were measured
        in the same minute of a round: so a ratio of a round says more than one of two medians.
        """
        found = self._by_round(key, ours, theirs, name)
        return statistics.median(mine / other for mine, other in found) if found else None

    def more(self, key: str, ours: str, theirs: str, name: str) -> float | None:
        """How much more ours is: as `ratio`."""
        found = self._by_round(key, ours, theirs, name)
        return statistics.median(mine - other for mine, other in found) if found else None

    def _by_round(self, key: str, ours: str, theirs: str, name: str) -> list[tuple[float, float]]:
        both = (self.rounds.get(key, {}).get(each, ()) for each in (ours, theirs))
        pairs: list[tuple[float, float]] = []
        for one in zip(*both, strict=False):
            known = [[value for value in values.get(name, ()) if value is not None] for values in one]
            if all(known):
                mine, other = map(statistics.median, known)
                pairs.append((mine, other))
        return pairs

    def plain(self) -> dict[str, Any]:
        """For `results.json`: medians, the least and the most, and failures."""
        figures: dict[str, Any] = {}
        for key, contenders in self.rounds.items():
            for contender, rounds in contenders.items():
                names = self.names(key, contender)
                figures.setdefault(key, {})[contender] = {"rounds": len(rounds)} | {
                    name: _summary(self.of(key, contender, name, unknown=True)) for name in names
                }
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
