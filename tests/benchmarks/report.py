"""The results as tables in Markdown."""

from __future__ import annotations

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
        f"{machine['cpus']} CPUs, {machine['system']}, Python {machine['python']}; {named}. Medians of "
        f"{facts['rounds']} rounds (processes), {facts['more_rounds']} of what is soon measured, one contender at a "
        f"time. Load of the machine before and after: "
        f"{machine['load']}, {machine['load_after']}."
    ]
    for make in (reading, starting, crowds, leaving, lasting, caching, targets):
        if part := make(results):
            parts.append(part)
    return "\n\n".join([*parts, *failures(results)]) + "\n"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One table under its title; nothing where it has no rows."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in (columns, ["---"] + ["---:"] * (len(columns) - 1), *rows)]
    return f"**{title}**\n\n" + "\n".join(lines)


def shown(value: float | None, digits: int = 0) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def over(value: float | None, floor: float | None, digits: int = 1) -> str:
    """How much more than the floor."""
    return "–" if value is None or floor is None else f"{value - floor:+,.{digits}f}"


def times(value: float | None, floor: float | None) -> str:
    """How many times the floor."""
    return "–" if value is None or not floor else f"{value / floor:,.{2 if value < 10 * floor else 0}f}"


def reading(results: Results) -> str:
    """µs a chunk and the first text."""
    rows = []
    floor, first_floor = (results.median("read", "aiohttp", name) for name in ("us", "first_ms"))
    for contender in results.values.get("read", {}):
        us, first = (results.median("read", contender, name) for name in ("us", "first_ms"))
        found = results.of("read", contender, "us")
        rows.append(
            [
                CONTENDERS[contender].label,
                shown(us, 1),
                times(us, floor),
                f"{min(found):,.1f} … {max(found):,.1f}",
                shown(results.median("read", contender, "cpu_us"), 1),
                shown(first, 1) if contender == "aiohttp" else over(first, first_floor),
            ]
        )
    title = "A stream of 2,000 chunks without delay; and the first text of a short one"
    return table(
        title,
        ["", "µs a chunk", "× aiohttp", "least … most", "CPU µs a chunk", "first text, ms over aiohttp"],
        rows,
    )


def starting(results: Results) -> str:
    """Imports and cold starts."""
    bare, bare_memory = (results.median("start", "", name) for name in ("import_ms", "memory_mb"))
    rows = []
    for contender, how in CONTENDERS.items():
        cold = results.median("start_cold", contender, "cold_ms")
        if cold is None:
            continue
        spread = results.of("start_cold", contender, "cold_ms")
        rows.append(
            [
                how.label,
                over(results.median("start", how.imports, "import_ms"), bare, 0),
                over(results.median("start", how.imports, "memory_mb"), bare_memory, 0),
                shown(cold),
                f"{min(spread):,.0f} … {max(spread):,.0f}",
            ]
        )
    return table(
        "Import, over a bare interpreter; and from the interpreter's start to the end of a first short stream",
        ["", "import, ms", "import, MB", "first stream, ms", "least … most"],
        rows,
    )


def crowds(results: Results) -> str:
    """Many streams at once."""
    rows = []
    for key in (key for key in results.values if key.startswith("crowd_")):
        floor = results.median(key, "aiohttp", "wall_s")
        for contender in results.values[key]:
            found = {name: results.median(key, contender, name) for name in results.values[key][contender]}
            wall, lost = found["wall_s"], (found["unfinished"] or 0)
            label = CONTENDERS[contender].label
            if results.of(key, contender, "error"):
                label += " (errors)"
            rows.append(
                [
                    label,
                    key.removeprefix("crowd_"),
                    f"stalled: {lost:.0f} not over" if lost else shown(wall, 2),
                    "–" if lost else times(wall, IDEAL),
                    "–" if lost else times(wall, floor),
                    shown(found["threads"]),
                    shown(found["memory_mb"]),
                    shown(found["late_p50_ms"]),
                    shown(found["late_p99_ms"]),
                ]
            )
    return table(
        "Streams at once, 50 chunks 20 ms apart (0.98 s at best); synchronous readers have a thread each",
        ["", "streams", "s", "× ideal", "× aiohttp", "more threads", "more MB", "late p50, ms", "late p99, ms"],
        rows,
    )


def leaving(results: Results) -> str:
    """`break`."""
    rows = []
    for contender, values in results.values.get("leave", {}).items():
        closed = results.of("leave", contender, "closed_ms")
        never = not closed or len(closed) < len(values["closed_ms"])
        rows.append(
            [
                CONTENDERS[contender].label,
                "never" if never else shown(results.median("leave", contender, "closed_ms"), 1),
                "–" if never else shown(max(closed), 1),
                shown(max(results.of("leave", contender, "sent_after"))) + (" (all)" if never else ""),
            ]
        )
    title = "`break` after some of 120 chunks 20 ms apart, the cyclic collector off, seen at the server"
    return table(title, ["", "socket closed after, ms", "at most, ms", "chunks sent after, at most"], rows)


def lasting(results: Results) -> str:
    """What is left of many streams."""
    rows = []
    for contender, values in results.values.get("last", {}).items():
        for name in values:
            if name.startswith("memory_mb_"):
                mark = name.removeprefix("memory_mb_")
                files = results.median("last", contender, f"descriptors_{mark}")
                grown = results.median("last", contender, name)
                rows.append([CONTENDERS[contender].label, f"{int(mark):,}", shown(grown, 2), shown(files)])
    title = "Streams one after the other: what the process has more than after the first 500"
    return table(title, ["", "streams", "MB", "descriptors"], rows)


def caching(results: Results) -> str:
    """Cache hits."""
    rows = [
        [
            "DSPy" if contender.startswith("dspy") else "**lmstream_sync**",
            shown(results.median("cache", contender, "plain_us")),
            shown(results.median("cache", contender, "streamified_us")),
        ]
        for contender in results.values.get("cache", {})
    ]
    return table("A call of a `Predict` that the cache answers", ["", "plain, µs", "streamified, µs"], rows)


def failures(results: Results) -> list[str]:
    """Who could not be measured, and why."""
    keys: dict[tuple[str, str], list[str]] = {}
    for key, failed in results.failures.items():
        for contender, why in failed.items():
            keys.setdefault((contender, why), []).append(key)
    lines = [
        f"- {CONTENDERS[contender].label if contender in CONTENDERS else contender} ({', '.join(found)}): {why}"
        for (contender, why), found in keys.items()
    ]
    return ["Not measured:\n\n" + "\n".join(lines)] if lines else []
