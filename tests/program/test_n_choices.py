"""Several answers to one request (`n > 1`): the first streams, all come back, the request is paid once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply, ScriptedServer

from .conftest import reply

ANSWERS = [("to get to the other side", 3), ("why not", 1), ("a longer answer – größer 😀 –\nin two lines", 12)]
USAGE = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}


def replies(answers: Sequence[tuple[str, int]] = ANSWERS) -> list[str]:
    return [reply(answer=answer, score=str(score)) for answer, score in answers]


def scripted(cut: int = 5, **more: Any) -> Reply:
    first, *others = replies()
    return Reply(first, alternatives=others, cut=cut, usage=USAGE, **more)


def ask(n: int = 3) -> lms.Predict:
    return lms.Predict("q -> answer, score: int", n=n)


def called(program: lms.Module) -> lms.Prediction:
    made: lms.Prediction = program(q="?")
    return made


def awaited(program: lms.Module) -> lms.Prediction:
    made: lms.Prediction = asyncio.run(program.acall(q="?"))
    return made


def streamed(program: lms.Module) -> lms.Prediction:
    listeners = [lms.StreamListener("answer"), lms.StreamListener("score")]
    made: lms.Prediction = lms.streamify(program, stream_listeners=listeners)(q="?").result()
    return made


WAYS = [called, awaited, streamed]


@pytest.mark.parametrize("way", WAYS)
def test_completions_has_every_answer_with_its_own_texts(serve: Any, way: Any) -> None:
    server = serve(scripted())
    made = way(ask())
    assert server.requests[0].body["n"] == 3 and server.request_count == 1
    assert [(each.answer, each.score) for each in made.completions] == ANSWERS
    assert made.completions.answer == [answer for answer, _ in ANSWERS]
    assert [each.raw("score") for each in made.completions] == ["3", "1", "12"]
    assert (made.answer, made.score, made.raw("answer")) == (*ANSWERS[0], ANSWERS[0][0])
    assert len(made.completions) == 3


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_a_listener_streams_the_first_answer_alone(serve: Any, cut: int) -> None:
    serve(scripted(cut))
    listeners = [lms.StreamListener("answer"), lms.StreamListener("score")]
    stream = lms.streamify(ask(), stream_listeners=listeners)(q="?")
    chunks: dict[str, list[lms.StreamResponse]] = {"answer": [], "score": []}
    for event in stream:
        if isinstance(event, lms.StreamResponse):
            chunks[event.signature_field_name].append(event)
    made = stream.prediction
    assert made is not None
    for name, pieces in chunks.items():
        assert "".join(piece.chunk for piece in pieces) == made.raw(name)
        assert [piece.is_last_chunk for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert "".join(stream.partial["answer"]) == ANSWERS[0][0]


def test_without_listeners_the_pieces_of_every_answer_come_with_their_number(serve: Any) -> None:
    serve(scripted())
    texts = ["", "", ""]
    for event in lms.streamify(ask())(q="?"):
        for choice in getattr(event, "choices", ()):
            texts[choice.index] += choice.delta.content or ""
    assert texts == replies()


def test_text_reads_the_first_answer(serve: Any) -> None:
    serve(scripted())
    assert "".join(lms.streamify(ask())(q="?").text("answer")) == ANSWERS[0][0]


@pytest.mark.parametrize("way", WAYS)
def test_a_request_for_several_answers_is_paid_once(serve: Any, way: Any) -> None:
    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = ask()

        def forward(self, q: str) -> lms.Prediction:
            self.ask(q=q)
            return self.ask(q=q)

    serve(scripted())
    with lms.context(track_usage=True):
        (once,) = way(ask()).get_lm_usage().values()
        (twice,) = way(Twice()).get_lm_usage().values()
    assert (once["completion_tokens"], twice["completion_tokens"]) == (50, 100)


@pytest.mark.parametrize("way", WAYS)
def test_a_cached_reply_has_every_answer_too(serve: Any, way: Any) -> None:
    server = serve(scripted(), cache=True)
    with lms.context(cache=lms.LMRequestLRUCache()):
        first, second = way(ask()), way(ask())
    assert server.request_count == 1
    assert first.completions.answer == second.completions.answer == [answer for answer, _ in ANSWERS]


def test_fewer_answers_than_asked_for_are_those_that_came(serve: Any) -> None:
    def one_alone(body: dict[str, Any]) -> Reply:
        choice = {"index": 0, "message": {"role": "assistant", "content": replies()[0]}, "finish_reason": "stop"}
        made = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return Reply(raw=[json.dumps(made).encode()])

    serve(one_alone)
    made = called(ask())
    assert len(made.completions) == 1 and made.answer == ANSWERS[0][0]


# -- an answer that does not parse


@pytest.fixture
def chat_alone() -> Iterator[None]:
    """The chat adapter, which does not ask again."""
    with lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        yield


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_one_answer_that_does_not_parse_is_an_error_of_the_whole_and_names_its_text(
    serve: Any, way: Any, broken: int, chat_alone: None
) -> None:
    """As in DSPy: what comes back has `n` whole answers or is an error."""
    texts = replies()
    texts[broken] = reply(answer="no number", score="many")
    serve(Reply(texts[0], alternatives=texts[1:], cut=7))
    with pytest.raises(lms.AdapterParseError, match="score") as caught:
        way(ask())
    assert "no number" in str(caught.value.lm_response)


def test_what_was_streamed_of_the_first_answer_stays_with_the_error(serve: Any, chat_alone: None) -> None:
    texts = replies()
    serve(Reply(texts[0], alternatives=["no marker at all"], cut=7))
    stream = lms.streamify(ask(2), stream_listeners=[lms.StreamListener("answer")])(q="?")
    with pytest.raises(lms.AdapterParseError) as caught:
        list(stream)
    assert caught.value.partial["answer"] == stream.partial["answer"] == ANSWERS[0][0]


def test_asking_once_more_voids_what_was_streamed_and_gives_every_answer_anew(serve: Any) -> None:
    good = [json.dumps({"answer": answer, "score": score}) for answer, score in ANSWERS]
    served = [
        Reply(replies()[0], alternatives=["no marker at all"], cut=7),
        Reply(good[0], alternatives=good[1:], cut=7),
    ]
    server = serve(served)
    stream = lms.streamify(ask(), stream_listeners=[lms.StreamListener("answer")])(q="?")
    before, after, restarts = "", "", 0
    for event in stream:
        if isinstance(event, lms.StreamRestart):
            before, after, restarts = after, "", restarts + 1
        elif isinstance(event, lms.StreamResponse):
            after += event.chunk
    assert server.request_count == 2 and restarts == 1
    assert before == after == ANSWERS[0][0]
    assert stream.prediction is not None
    assert [(each.answer, each.score) for each in stream.prediction.completions] == ANSWERS


def test_an_answer_that_breaks_off_breaks_the_reply(serve: Any) -> None:
    """Law 7: one of two has no finish reason, and `[DONE]` never came."""

    def event(index: int, text: str, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
        return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"

    first, second = replies(ANSWERS[:2])
    raw = [event(0, first), event(1, second[:10]), event(0, "", "stop")]
    with ScriptedServer(Reply(raw=raw)) as server, lms.context(lm=server.lm()):
        stream = lms.streamify(ask(2), stream_listeners=[lms.StreamListener("answer")])(q="?")
        with pytest.raises(lms.LMInterrupted) as caught:
            list(stream)
    assert caught.value.partial["answer"] == ANSWERS[0][0]
