"""What was streamed is what came back (law 1), over real HTTP and random cuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

import lmstream_sync as lms
from lmstream_sync.testing import Reply, ScriptedServer

from .replies import chat

FIELDS = ("answer", "reasoning", "score")

# Text with what makes readers stumble: markers and pieces of them, white space, every kind of line end.
TEXT = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [
                "[[ ## ",
                " ## ]]",
                "[[ ## answer ## ]]",
                "\n[[ ## nobody ## ]]",
                "\n[[ ## completed",
                "a[[0]] matrix [[1, 2], [3, 4]]",
                "\r\n",
                "\n\n",
                "\u2028",
                "  ",
                "\U0001f373",
                "\t",
            ]
        ),
    ),
    max_size=6,
).map("".join)


@pytest.fixture(scope="module")
def scripted() -> Iterator[dict[str, Any]]:
    """A server that gives whatever reply the running case has put in."""
    case: dict[str, Any] = {}
    with ScriptedServer(lambda request: case["reply"]) as server:
        case["lm"] = server.lm()
        yield case


def cut(text: str, places: list[int]) -> list[str]:
    marks = sorted({place % (len(text) + 1) for place in places})
    edges = [0, *marks, len(text)]
    return [text[a:b] for a, b in zip(edges, edges[1:], strict=False) if a < b] or [""]


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.tuples(TEXT, TEXT, TEXT), places=st.lists(st.integers(0, 10_000), max_size=40), prose=TEXT)
def test_chunks_joined_are_the_value_for_every_cut(
    scripted: dict[str, Any], values: tuple[str, str, str], places: list[int], prose: str
) -> None:
    reply = prose.replace("[[", "[") + "\n" + chat(**dict(zip(FIELDS, values, strict=True)))
    reply = reply.encode("utf-8", "replace").decode()
    scripted["reply"] = Reply(pieces=cut(reply, places))
    program = lms.streamify(
        lms.Predict("q -> answer, reasoning, score"), stream_listeners=[lms.StreamListener(f) for f in FIELDS]
    )
    with lms.context(lm=scripted["lm"]):
        stream = program(q="?")
        events = list(stream)
    final = stream.result()
    for field in FIELDS:
        pieces = [e for e in events if isinstance(e, lms.StreamResponse) and e.signature_field_name == field]
        assert "".join(e.chunk for e in pieces) == final[field] == final.raw(field)
        assert [e.is_last_chunk for e in pieces] == [False] * (len(pieces) - 1) + [True]
    assert stream.partial == {field: final[field] for field in FIELDS}
