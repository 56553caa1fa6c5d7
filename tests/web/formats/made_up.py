"""Streams as a program might make them, for hypothesis: fields in pieces, cut anywhere, with restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st

from lmstream_sync import Prediction, StreamResponse, StreamRestart

#: What might break out of a line, an event, an element or a string, or be taken for the end.
_NASTY = [
    "\n", "\r", "\r\n", "\n\n", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\ud83d", "\ude00", "\ufeff", " ",
    "data: [DONE]\n\n", "data: x", "event: done\n", "id: 7\n", "retry: 1\n", ": comment\n", "[DONE]", "\U0001f600",
    "<script>", "</p>", "<br>", "&lt;", "&amp;", "&#10;", "<!--", "]]>", '"', "'", "\\", "\\u2028", "{", "}", "null",
]  # fmt: skip

texts = st.lists(st.one_of(st.sampled_from(_NASTY), st.text(max_size=5)), max_size=8).map("".join)
fields = st.lists(st.sampled_from(["reasoning", "answer", "title", "notes"]), min_size=1, max_size=4, unique=True)


def examples(count: int) -> settings:
    """So many; a machine that is busy with other tests may take its time to make them."""
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class MadeUp:
    """Events, and field → text of the Prediction, which is their last."""

    events: list[Any]
    texts: dict[str, str]


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn, *, restarts: bool = True) -> MadeUp:
    """One predictor's fields one after the other; some begin again in the middle."""
    events: list[Any] = []
    answers: dict[str, str] = {}
    for field in draw(fields):
        if restarts and draw(st.integers(0, 3)) == 0:
            events += [StreamResponse("p", field, piece, False) for piece in _cut(draw, draw(texts))]
            events.append(StreamRestart("p", field))
        answers[field] = draw(texts)
        *first, last = _cut(draw, answers[field])
        events += [StreamResponse("p", field, piece, False) for piece in first]
        events.append(StreamResponse("p", field, last, True))
    return MadeUp([*events, Prediction(**answers)], answers)
