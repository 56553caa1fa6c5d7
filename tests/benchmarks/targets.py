"""What this library set out to reach, and whether it did, in ratios of one run."""

from __future__ import annotations

from tests.benchmarks.figures import Results


def targets(results: Results) -> str:
    """A table of the goals that this run can tell of."""
    rows = [row for row in _goals(results) if row[2] is not None]
    if not rows:
        return ""
    lines = ["**What we set out to reach**", "", "| | at most | measured | |", "|---|---:|---:|---|"]
    for name, most, found, unit in rows:
        assert found is not None
        if most is None:
            continue
        digits = 2 if unit == "×" or most < 1 else 0 if most >= 50 else 1
        verdict = "reached" if found <= most else "**missed**"
        lines.append(f"| {name} | {_figure(most, unit, digits)} | {_figure(found, unit, digits)} | {verdict} |")
    return "\n".join(lines)


def _figure(value: float, unit: str, digits: int) -> str:
    return f"{value:,.{digits}f} {unit}".strip()


#: Name, the most that was aimed at, what was measured, unit.
Goal = tuple[str, "float | None", "float | None", str]


def _goals(results: Results) -> list[Goal]:
    def ratio(key: str, name: str, ours: str, theirs: str) -> float | None:
        mine, floor = results.median(key, ours, name), results.median(key, theirs, name)
        return mine / floor if mine is not None and floor else None

    def more(key: str, name: str, ours: str, theirs: str) -> float | None:
        mine, floor = results.median(key, ours, name), results.median(key, theirs, name)
        return mine - floor if mine is not None and floor is not None else None

    def most(key: str, contender: str, name: str) -> float | None:
        return max(results.of(key, contender, name), default=None)

    def crowd(streams: int, contender: str) -> float | None:
        lost = most(f"crowd_{streams}", contender, "unfinished")
        return float("inf") if lost else ratio(f"crowd_{streams}", "wall_s", contender, "aiohttp")

    goals: list[Goal] = [
        ("µs a chunk, listener, to aiohttp", 1.5, ratio("read", "us", "ours", "aiohttp"), "×"),
        ("… to DSPy with a listener", 0.1, ratio("read", "us", "ours", "dspy_listener"), "×"),
        ("… async wrapper, to aiohttp", 1.5, ratio("read", "us", "ours_async", "aiohttp"), "×"),
        ("… raw chunks, to DSPy without a listener", 1.0, ratio("read", "us", "ours_raw", "dspy"), "×"),
        ("… raw chunks, to openai", 1.0, ratio("read", "us", "ours_raw", "openai"), "×"),
        ("… litellm engine, to litellm alone", 1.15, ratio("read", "us", "ours_litellm", "litellm"), "×"),
        ("first text over aiohttp", 0.7, more("read", "first_ms", "ours", "aiohttp"), "ms"),
        ("import over a bare interpreter", 60, more("start", "import_ms", "lmstream_sync", ""), "ms"),
        ("cold start to the end of a first stream", 300, results.median("start_cold", "ours", "cold_ms"), "ms"),
        ("300 streams in 300 threads, to aiohttp", 1.3, crowd(300, "ours"), "×"),
        ("1,000 streams in 1,000 threads", 2.0, crowd(1000, "ours"), "×"),
        ("300 streams, async wrapper", 1.1, crowd(300, "ours_async"), "×"),
        ("1,000 streams, async wrapper", 1.25, crowd(1000, "ours_async"), "×"),
        ("threads beyond the callers', 1,000 streams", 2, most("crowd_1000", "ours", "threads"), ""),
        ("`break` seen by the server, at most", 50, most("leave", "ours", "closed_ms"), "ms"),
        ("… chunks sent after", 2, most("leave", "ours", "sent_after"), ""),
        ("… litellm engine", 50, most("leave", "ours_litellm", "closed_ms"), "ms"),
        ("a cache hit, plain", 60, results.median("cache", "ours", "plain_us"), "µs"),
        ("… streamified", 200, results.median("cache", "ours", "streamified_us"), "µs"),
        ("memory between stream 500 and 2,000", 0.2, results.median("last", "ours", "memory_mb_2000"), "MB"),
        ("… litellm engine", 0.2, results.median("last", "ours_litellm", "memory_mb_2000"), "MB"),
    ]
    return goals
