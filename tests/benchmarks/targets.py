"""What this library set out to reach, and whether it did, in ratios of one run."""

from __future__ import annotations

from tests.benchmarks.figures import Results


def targets(results: Results) -> str:
    """A table of the goals that this run can tell of."""
    lines = ["**What this library set out to reach**", "", "| | at most | measured | |", "|---|---:|---:|---|"]
    for name, most, found, unit in _goals(results):
        if found is None:
            continue
        digits = 2 if unit == "×" or most < 1 else 0
        verdict = "reached" if found <= most else "**missed**"
        lines.append(f"| {name} | {_figure(most, unit, digits)} | {_figure(found, unit, digits)} | {verdict} |")
    if len(lines) == 4:
        return ""
    return "\n".join(lines) + "\n\n" + NOTE


NOTE = (
    "Times stand beside what a peer took when the goals were set, and again as a ratio to that peer: a goal in "
    "milliseconds is missed on a machine that is slow enough, and reached on one that is fast enough."
)


def _figure(value: float, unit: str, digits: int) -> str:
    return f"{value:,.{digits}f} {unit}".strip()


#: Name, the most that was aimed at, what was measured, unit.
Goal = tuple[str, float, "float | None", str]


def _goals(results: Results) -> list[Goal]:
    ratio, more = results.ratio, results.more

    def most(key: str, contender: str, name: str) -> float | None:
        return max(results.of(key, contender, name), default=None)

    def crowd(streams: int, contender: str) -> float | None:
        lost = most(f"crowd_{streams}", contender, "unfinished")
        return float("inf") if lost else ratio(f"crowd_{streams}", contender, "aiohttp", "wall_s")

    return [
        ("a chunk, listener and `for` loop, to aiohttp", 1.5, ratio("read", "ours", "aiohttp", "us"), "×"),
        ("a chunk, listener and `for` loop, to DSPy", 0.1, ratio("read", "ours", "dspy_listener", "us"), "×"),
        ("a chunk, async wrapper, to aiohttp", 1.5, ratio("read", "ours_async", "aiohttp", "us"), "×"),
        ("a chunk, raw, to DSPy without a listener", 1.0, ratio("read", "ours_raw", "dspy", "us"), "×"),
        ("a chunk, raw, to the openai SDK", 1.0, ratio("read", "ours_raw", "openai", "us"), "×"),
        ("a chunk, litellm engine, to litellm alone", 1.15, ratio("read", "ours_litellm", "litellm", "us"), "×"),
        ("first text, over aiohttp", 0.7, more("read", "ours", "aiohttp", "first_ms"), "ms"),
        ("import, over a bare interpreter", 60, more("start", "lmstream_sync", "", "import_ms"), "ms"),
        (
            "cold start to the end of a first stream (aiohttp: 108 ms)",
            300,
            results.median("start_cold", "ours", "cold_ms"),
            "ms",
        ),
        ("the same, to aiohttp", 300 / 108, ratio("start_cold", "ours", "aiohttp", "cold_ms"), "×"),
        ("300 streams in 300 threads, to aiohttp", 1.3, crowd(300, "ours"), "×"),
        ("1,000 streams in 1,000 threads, to aiohttp", 2.0, crowd(1000, "ours"), "×"),
        ("300 streams, async wrapper, to aiohttp", 1.1, crowd(300, "ours_async"), "×"),
        ("1,000 streams, async wrapper, to aiohttp", 1.25, crowd(1000, "ours_async"), "×"),
        ("threads beyond the callers', 1,000 streams", 2, most("crowd_1000", "ours", "threads"), ""),
        ("`break`, until the server sees it, at most", 50, most("leave", "ours", "closed_ms"), "ms"),
        ("chunks sent after it, at most", 2, most("leave", "ours", "sent_after"), ""),
        ("`break`, litellm engine, at most", 50, most("leave", "ours_litellm", "closed_ms"), "ms"),
        ("chunks sent after it, litellm engine, at most", 2, most("leave", "ours_litellm", "sent_after"), ""),
        ("a cache hit, plain (DSPy: 224 µs)", 60, results.median("cache", "ours", "plain_us"), "µs"),
        ("the same, to DSPy", 60 / 224, ratio("cache", "ours", "dspy_listener", "plain_us"), "×"),
        ("a cache hit, streamified (DSPy: 1,393 µs)", 200, results.median("cache", "ours", "streamified_us"), "µs"),
        ("the same, to DSPy", 200 / 1393, ratio("cache", "ours", "dspy_listener", "streamified_us"), "×"),
        ("memory, from stream 500 to 2,000", 0.2, results.median("last", "ours", "memory_mb_2000"), "MB"),
        ("the same, litellm engine", 0.2, results.median("last", "ours_litellm", "memory_mb_2000"), "MB"),
    ]
