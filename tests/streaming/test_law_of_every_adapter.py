"""Law 1 for every adapter over real HTTP: the response comes in packets cut anywhere, down to single bytes.

The cases are those of `tests/adapters/test_properties.py`, whose readers are fed without a wire.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply, ScriptedServer
from tests.adapters.cutting import at_random
from tests.adapters.properties import CASES


@pytest.fixture(scope="module")
def scripted() -> Iterator[dict[str, Any]]:
    """A server that gives whatever reply the running case has put in."""
    case: dict[str, Any] = {}
    with ScriptedServer(lambda request: case["reply"]) as server:
        case["lm"] = server.lm(cache=False)
        yield case


def packets(dice: random.Random, pieces: list[str]) -> list[bytes]:
    """The body of a response that streams these pieces, in packets cut anywhere."""
    deltas: list[dict[str, Any]] = [{"delta": {"content": piece}} for piece in pieces if piece]
    body = "".join(
        f"data: {json.dumps({'choices': [{'index': 0, **delta}]}, ensure_ascii=False)}\n\n"
        for delta in [*deltas, {"delta": {}, "finish_reason": "stop"}]
    )
    data = f"{body}data: [DONE]\n\n".encode()
    if len(data) < 2000:
        return [data[at : at + 1] for at in range(len(data))]
    ends = sorted({0, len(data), *dice.choices(range(len(data)), k=30)})
    return [data[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]


@pytest.mark.parametrize("adapter", CASES)
def test_chunks_joined_are_the_value_whatever_the_packets(scripted: dict[str, Any], adapter: str) -> None:
    checked = 0
    number = -1
    while checked < 30:
        number += 1
        case = CASES[adapter](number)
        written = case.written
        if written.values is None or not written.reply or len(written.reply) > 1500:
            continue
        checked += 1
        scripted["reply"] = Reply(raw=packets(case.dice, at_random(case.dice, written.reply)[1]))
        streamed = dict.fromkeys(case.of.fields, "")
        lasts = dict.fromkeys(case.of.fields, 0)
        with lms.context(lm=scripted["lm"], adapter=case.adapter):
            for event in lms.stream(lms.Predict(case.of.signature), question="?"):
                if isinstance(event, lms.StreamRestart):
                    assert event.signature_field_name is not None
                    streamed[event.signature_field_name], lasts[event.signature_field_name] = "", 0
                elif isinstance(event, lms.StreamResponse):
                    streamed[event.signature_field_name] += event.chunk
                    lasts[event.signature_field_name] += event.is_last_chunk
        assert isinstance(event, lms.Prediction)
        assert streamed == {name: event.raw(name) for name in case.of.fields}, f"case {adapter}:{number}"
        assert set(lasts.values()) == {1}, f"case {adapter}:{number}"
        assert {name: event[name] for name in written.values} == written.values, f"case {adapter}:{number}"
