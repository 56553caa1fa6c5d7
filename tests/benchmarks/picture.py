"""The picture for the README: bars, as an SVG written by hand, to be read on light and dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Results

WIDTH, ROW, LEFT, RIGHT = 760, 20, 250, 90
SHOWN = [
    "aiohttp",
    "httpx",
    "ours",
    "ours_async",
    "ours_raw",
    "openai",
    "langchain",
    "dspy",
    "pydantic_ai",
    "dspy_listener",
    "litellm",
    "ours_litellm",
    "litellm_sync",
]
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.bar { fill: #9aa4af }
.ours { fill: #1f7a4d }
.text-ours { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #d5dbe1 }
  .bar { fill: #626c77 }
  .ours { fill: #3fb37f }
}
"""


class Bar(NamedTuple):
    """One bar: whose, how long, what is written after it."""

    contender: str
    value: float
    words: str


def picture(results: Results) -> str:
    """Two groups of bars: µs a chunk, and 300 streams at once."""
    chunks = [
        Bar(contender, value, f"{value:.1f}" if value < 20 else f"{value:.0f}")
        for contender in SHOWN
        if (value := results.median("read", contender, "us")) is not None
    ]
    crowd = [
        Bar(contender, value, f"{value:.2f}" if not lost else "stalled")
        for contender in [*SHOWN, "dspy_limited"]
        if (value := results.median("crowd_300", contender, "wall_s")) is not None
        for lost in [results.median("crowd_300", contender, "unfinished")]
    ]
    groups = [
        ("Microseconds a chunk: 2,000 chunks without delay", sorted(chunks, key=lambda bar: bar.value)),
        ("Seconds for 300 streams at once: 50 chunks 20 ms apart (0.98 at best)", sorted(crowd, key=_last_if_stalled)),
    ]
    parts: list[str] = []
    top = 8
    for title, bars in groups:
        if bars:
            parts.append(_group(title, bars, top))
            top += ROW * (len(bars) + 1) + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        f'role="img" aria-label="Benchmarks, less is better">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _last_if_stalled(bar: Bar) -> tuple[bool, float]:
    return bar.words == "stalled", bar.value


def _group(title: str, bars: Sequence[Bar], top: int) -> str:
    longest = max(bar.value for bar in bars)
    lines = [f'<text class="title" x="0" y="{top + 13}">{escape(title)}</text>']
    for number, bar in enumerate(bars, 1):
        y = top + number * ROW
        long = max(2.0, bar.value / longest * (WIDTH - LEFT - RIGHT))
        ours = bar.contender.startswith("ours")
        kind = "bar ours" if ours else "bar"
        bold = ' class="text-ours"' if ours else ""
        label = CONTENDERS[bar.contender].label.replace("**", "")
        lines += [
            f'<text{bold} x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y + 4}" width="{long:.1f}" height="13" rx="2"/>',
            f'<text{bold} x="{LEFT + long + 6:.1f}" y="{y + 14}">{bar.words}</text>',
        ]
    return "\n".join(lines)
