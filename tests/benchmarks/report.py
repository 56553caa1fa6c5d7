"""The results as tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Results
from tests.benchmarks.targets import targets

#: Seconds that 50 pieces 20 ms apart take at least.
IDEAL = 0.98


def report(results: Results, facts: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    machine, versions = facts["machine"], facts["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "failed")
    parts = [
        "# What streaming costs, this library beside its peers",
        f"Measured on {facts['date']} by `python -m tests.benchmarks`: {machine['cpus']} CPUs ({machine['cpu']}), "
        f"{machine['system']}, Python {machine['python']}; {named}. Load of the machine before and after: "
        f"{machine['load']}, {machine['load_after']}.",
        "Each contender is measured in a fresh process, one at a time, in rounds (`n`: how many), all contenders one "
        "after the other in each. A figure is the median of all its values. Where one is compared to another, "
        "it is so round by round, and the median of these is shown, as the machine is not always equally fast.",
    ]
    for make in (reading, starting, crowds, leaving, lasting, caching, targets):
        if part := make(results):
            parts.append(part)
    return "\n\n".join([*parts, *failures(results)]) + "\n"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: str = "") -> str:
    """One table under its title, with notes below it; nothing where it has no rows."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in (columns, ["---"] + ["---:"] * (len(columns) - 1), *rows)]
    return f"**{title}**\n\n" + "\n".join(lines) + (f"\n\n{notes}" if notes else "")


def shown(value: float | None, digits: int = 0) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else _without_minus_nothing(f"{value:,.{digits}f}")


def signed(value: float | None, digits: int = 1) -> str:
    """How much more than something else."""
    return "–" if value is None else _without_minus_nothing(f"{value:+,.{digits}f}")


def _without_minus_nothing(number: str) -> str:
    return number if number.strip("-+0.,") else number.replace("-", "")


def times(value: float | None) -> str:
    """How many times something else."""
    return "–" if value is None else f"{value:,.{2 if value < 10 else 0}f}"


def reading(results: Results) -> str:
    """µs a chunk and the first text."""
    rows = []
    for contender in results.contenders("read"):
        found = results.of("read", contender, "us")
        first = results.more("read", contender, "aiohttp", "first_ms")
        rows.append(
            [
                CONTENDERS[contender].label,
                str(results.number("read", contender)),
                shown(results.median("read", contender, "us"), 1),
                times(results.ratio("read", contender, "aiohttp", "us")),
                f"{min(found):,.1f} … {max(found):,.1f}",
                shown(results.median("read", contender, "cpu_us"), 1),
                "" if contender == "aiohttp" else signed(first),
            ]
        )
    floor = results.median("read", "aiohttp", "first_ms")
    return table(
        "A stream of 2,000 chunks without delay; and the first text of a short one",
        ["", "n", "µs a chunk", "× aiohttp", "least … most µs", "CPU µs a chunk", "first text, ms over aiohttp"],
        rows,
        f"aiohttp, `json.loads`, cuts what a read of the socket brought at empty lines, and is the floor that others "
        f"are compared to; its first text comes after {shown(floor, 1)} ms. “Line by line” is how one writes it first.",
    )


def starting(results: Results) -> str:
    """Imports and cold starts."""
    rows = []
    for contender, how in CONTENDERS.items():
        cold = results.median("start_cold", contender, "cold_ms")
        if cold is None:
            continue
        spread = results.of("start_cold", contender, "cold_ms")
        rows.append(
            [
                how.label,
                signed(results.more("start", how.imports, "", "import_ms"), 0),
                signed(results.more("start", how.imports, "", "memory_mb"), 0),
                str(results.number("start_cold", contender)),
                shown(cold),
                f"{min(spread):,.0f} … {max(spread):,.0f}",
                times(results.ratio("start_cold", contender, "aiohttp", "cold_ms")),
            ]
        )
    return table(
        "Import, over a bare interpreter; and from the interpreter's start to the end of a first short stream",
        ["", "import, ms", "import, MB", "n", "first stream, ms", "least … most ms", "× aiohttp"],
        rows,
        f"Imports: {results.number('start', '')} rounds. Raw chunks are litellm's objects, which is then imported.",
    )


def crowds(results: Results) -> str:
    """Many streams at once."""
    rows = []
    for key in (key for key in results.rounds if key.startswith("crowd_")):
        for contender in results.contenders(key):
            found = {name: results.median(key, contender, name) for name in results.names(key, contender)}
            wall, lost = found["wall_s"], (found["unfinished"] or 0)
            label = CONTENDERS[contender].label
            if results.of(key, contender, "error"):
                label += " (errors)"
            rows.append(
                [
                    label,
                    key.removeprefix("crowd_"),
                    str(results.number(key, contender)),
                    f"stalled: {lost:.0f} not over" if lost else shown(wall, 2),
                    "–" if lost else times(results.ratio(key, contender, "aiohttp", "wall_s")),
                    shown(found["threads"]),
                    shown(found["memory_mb"]),
                    shown(found["late_p50_ms"]),
                    shown(found["late_p99_ms"]),
                ]
            )
    return table(
        f"Streams at once, 50 chunks 20 ms apart ({IDEAL} s at best); synchronous readers have a thread each",
        ["", "streams", "n", "s", "× aiohttp", "more threads", "more MB", "late p50, ms", "late p99, ms"],
        rows,
        "Until all have come to their end. Threads: beyond those that only read. MB: more than before the streams "
        "were opened. Late: how long after the server had sent a chunk its reader had it, median and 99th percentile.",
    )


def leaving(results: Results) -> str:
    """`break`."""
    rows = []
    for contender in results.contenders("leave"):
        closed = results.of("leave", contender, "closed_ms")
        never = not closed or len(closed) < len(results.of("leave", contender, "closed_ms", unknown=True))
        rows.append(
            [
                CONTENDERS[contender].label,
                "never" if never else shown(results.median("leave", contender, "closed_ms"), 1),
                "–" if never else shown(max(closed), 1),
                shown(max(results.of("leave", contender, "sent_after"))),
            ]
        )
    return table(
        "`break` after some of 120 chunks 20 ms apart, the cyclic collector off, seen at the server",
        ["", "socket closed after, ms", "at most, ms", "chunks sent after, at most"],
        rows,
        "Ten streams of one process each; where the socket was never closed, the first said it: all the rest was sent.",
    )


def lasting(results: Results) -> str:
    """What is left of many streams."""
    rows = []
    for contender in results.contenders("last"):
        for name in results.names("last", contender):
            if name.startswith("memory_mb_"):
                mark = name.removeprefix("memory_mb_")
                files = results.median("last", contender, f"descriptors_{mark}")
                grown = results.median("last", contender, name)
                rows.append([CONTENDERS[contender].label, f"{int(mark):,}", shown(grown, 2), shown(files)])
    title = "Streams one after the other: what one process has more than after the first 500"
    return table(title, ["", "streams", "resident MB", "descriptors"], rows)


def caching(results: Results) -> str:
    """Cache hits."""
    rows = [
        [
            "DSPy" if contender.startswith("dspy") else "**lmstream_sync**",
            str(results.number("cache", contender)),
            shown(results.median("cache", contender, "plain_us")),
            shown(results.median("cache", contender, "streamified_us")),
        ]
        for contender in results.contenders("cache")
    ]
    return table("A call of a `Predict` that the cache answers", ["", "n", "plain, µs", "streamified, µs"], rows)


def failures(results: Results) -> list[str]:
    """Who could not be measured, and why."""
    keys: dict[tuple[str, str], list[str]] = {}
    for key, failed in results.failures.items():
        for contender, why in failed.items():
            keys.setdefault((contender, re.sub(r"\b[0-9a-f]{8,}\b.*", "…", why)), []).append(key)
    lines = [
        f"- {CONTENDERS[contender].label if contender in CONTENDERS else contender} ({', '.join(found)}): {why}"
        for (contender, why), found in keys.items()
    ]
    return ["Not measured, as its program failed:\n\n" + "\n".join(lines)] if lines else []
