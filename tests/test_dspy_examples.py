"""What DSPy's users already have written runs with only the imports changed.

Four uses of `streamify` from DSPy's documentation, written anew. Where they await, either
`async_streaming=True` is set or nothing at all: a `Stream` can be read with `async for` too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
import pytest

import lmstream_sync as lms
from lmstream_sync.streaming import StatusMessageProvider
from lmstream_sync.testing import ScriptedServer, read_sse

WHY = "Why did a chicken cross the kitchen?"
ANSWER = "To see the other side of the stove."
REASONING = "Chickens are curious."


def reply(**fields: str) -> str:
    return "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in fields.items()) + "[[ ## completed ## ]]\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A model that knows one answer, in whichever fields the prompt asks for it."""

    def answer(request: dict[str, Any]) -> str:
        prompt = json.dumps(request["messages"])
        if "[[ ## reasoning ## ]]" in prompt:
            return reply(answer=ANSWER, reasoning=REASONING)
        return reply(a=ANSWER)

    with ScriptedServer(answer) as server:
        lms.configure(lm=server.lm())
        yield server


@pytest.fixture(params=[{}, {"async_streaming": True}], ids=["stream", "async stream"])
def how(request: pytest.FixtureRequest) -> Any:
    """Both ways to be read by `async for`."""
    return request.param


async def read(output: AsyncIterator[Any]) -> tuple[list[Any], Any]:
    """The loop of the documentation: the events, and the final Prediction apart."""
    events, return_value = [], None
    async for value in output:
        if isinstance(value, lms.Prediction):
            return_value = value
        else:
            events.append(value)
    return events, return_value


def test_basic(server: ScriptedServer, how: Any) -> None:
    program = lms.streamify(lms.Predict("q->a"), **how)

    async def use_streaming() -> tuple[list[Any], Any]:
        return await read(program(q=WHY))

    chunks, output = asyncio.run(use_streaming())
    assert output.a == ANSWER
    assert len(chunks) > 1
    assert {type(chunk).__name__ for chunk in chunks} == {"ModelResponseStream"}
    assert {chunk.predict_id for chunk in chunks} == {chunks[0].predict_id}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == reply(a=ANSWER)


def test_custom_status_message_provider(server: ScriptedServer, how: Any) -> None:
    class MyStatusMessageProvider(StatusMessageProvider):
        def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
            return "Predicting..."

        def tool_end_status_message(self, outputs: Any) -> str:
            return f"Tool calling finished with output: {outputs}!"

    class Oracle(lms.Module):
        def __init__(self) -> None:
            self.tool = lms.Tool(lambda x: x * 2, name="double", args={"x": {"type": "integer"}})
            self.predict = lms.Predict("q->a")

        def forward(self, q: str) -> Any:
            self.tool(x=21)
            return self.predict(q=q)

    async def use_streaming(program: Any) -> tuple[list[Any], Any]:
        return await read(lms.streamify(program, status_message_provider=MyStatusMessageProvider(), **how)(q=WHY))

    for program, expected in [
        (lms.Predict("q->a"), ["Predicting..."]),
        (
            Oracle(),
            [
                "Predicting...",
                "Calling tool double...",
                "Tool calling finished with output: 42!",
                "Predicting...",
            ],
        ),
    ]:
        events, output = asyncio.run(use_streaming(program))
        assert output.a == ANSWER
        assert [event.message for event in events if isinstance(event, lms.StatusMessage)] == expected


def test_stream_listeners(server: ScriptedServer, how: Any) -> None:
    predict = lms.Predict("question->answer, reasoning")
    stream_listeners = [
        lms.streaming.StreamListener(signature_field_name="answer"),
        lms.streaming.StreamListener(signature_field_name="reasoning"),
    ]
    stream_predict = lms.streamify(predict, stream_listeners=stream_listeners, **how)

    async def use_streaming() -> tuple[list[Any], Any]:
        output = stream_predict(question=WHY, include_final_prediction_in_output_stream=False)
        return await read(output)

    for _ in range(2):  # listeners keep nothing: the same ones serve the next call too
        events, output = asyncio.run(use_streaming())
        assert output is None, "the final Prediction was asked to stay away"
        assert {event.predict_name for event in events} == {"self"}
        for field, text in (("answer", ANSWER), ("reasoning", REASONING)):
            chunks = [event for event in events if event.signature_field_name == field]
            assert "".join(chunk.chunk for chunk in chunks) == text
            assert [chunk.is_last_chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_view_of_server_sent_events(server: ScriptedServer) -> None:
    streaming_program = lms.streamify(lms.Predict("q->a"))
    app = flask.Flask(__name__)

    @app.post("/predict/stream")
    def predict_stream() -> flask.Response:
        stream = streaming_program(q=flask.request.get_json()["q"])

        def generate() -> Iterator[str]:
            for value in stream:
                if isinstance(value, lms.Prediction):
                    data = {"prediction": value.labels().toDict()}
                else:
                    data = {"chunk": value.json()}
                yield f"data: {json.dumps(data)}\n\n"
            yield "data: [DONE]\n\n"

        return flask.Response(generate(), mimetype="text/event-stream")

    response = app.test_client().post("/predict/stream", json={"q": WHY})
    assert response.mimetype == "text/event-stream"
    assert response.text.endswith("data: [DONE]\n\n")
    *chunks, final = read_sse(response.text)
    assert final == {"prediction": {"a": ANSWER}}
    chunks = [json.loads(chunk["chunk"]) if isinstance(chunk["chunk"], str) else chunk["chunk"] for chunk in chunks]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text == reply(a=ANSWER)


def test_the_same_view_of_listened_fields(server: ScriptedServer) -> None:
    """`StreamResponse.json()` and `streaming_response` speak alike."""
    program = lms.streamify(lms.Predict("q->a"), stream_listeners=[lms.StreamListener("a")])
    by_hand = []
    for value in program(q=WHY):
        if isinstance(value, lms.Prediction):
            by_hand.append({"prediction": value.labels().toDict()})
        else:
            by_hand.append({"chunk": value.json()})
    written = read_sse("".join(lms.streaming_response(program(q=WHY))))
    assert written[-1] == by_hand[-1] == {"prediction": {"a": ANSWER}}
    for events in (written, by_hand):
        assert "".join(event["chunk"]["chunk"] for event in events[:-1]) == ANSWER
        assert set(events[0]["chunk"]) == {"predict_name", "signature_field_name", "chunk", "is_last_chunk"}
