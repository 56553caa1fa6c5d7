"""Chat-completions chunks: the `openai` SDK reads a program as if it were a model, over HTTP."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

import lmstream_sync as lms
from lmstream_sync.streaming.encoded import Encoded
from lmstream_sync.streaming.format import Format
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.openai import OpenAIFormat

from ...streaming.replies import chat
from .programs import listened_shop
from .reading import openai_texts, parts, written
from .served import served

ASKED: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "?"}]}


@contextmanager
def client(open_stream: Callable[[], lms.Stream], make: Callable[[], Format] = OpenAIFormat) -> Iterator[openai.OpenAI]:
    with served(open_stream, make) as url, openai.OpenAI(base_url=url, api_key="-", max_retries=0) as made:
        yield made


def piece(field: str, text: str, last: bool = False) -> lms.StreamResponse:
    return lms.StreamResponse("p", field, text, last)


def test_the_sdk_streams_a_program(serve: Any) -> None:
    serve(Reply(chat(reasoning="Let me see.", answer="Nine <b>euros</b>.\u2028\n\nYes."), cut=3))
    with client(listened_shop) as made:
        chunks = list(made.chat.completions.create(**ASKED, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Nine <b>euros</b>.\u2028\n\nYes."
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Let me see."
    assert sum(bool(delta.content) for delta in deltas) > 3
    *_, finished, counted = chunks
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices].count("stop") == 1
    assert finished.choices[0].finish_reason == "stop"
    assert counted.choices == [] and counted.usage is not None and counted.usage.total_tokens > 0
    assert {(chunk.id, chunk.object, chunk.model) for chunk in chunks} == {
        (chunks[0].id, "chat.completion.chunk", "lmstream_sync")
    }
    for chunk in chunks:
        type(chunk).model_validate(chunk.model_dump())  # the SDK itself builds them without a check


def test_the_sdk_s_stream_helper_gathers_the_completion(serve: Any) -> None:
    serve(Reply(chat(reasoning="Let me see.", answer="Nine euros."), cut=3))
    with client(listened_shop) as made, made.chat.completions.stream(**ASKED) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert completion.choices[0].message.content == "Nine euros."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None and completion.usage.total_tokens > 0


def test_a_cache_hit_is_sent_as_content_without_usage(serve: Any) -> None:
    serve(chat(reasoning="Hm.", answer="yes"), cache=True)
    predict = lms.ChainOfThought("question -> answer")
    predict(question="?")
    program = lms.streamify(predict, stream_listeners=[lms.StreamListener("answer")])
    with client(lambda: program(question="?")) as made:
        chunks = list(made.chat.completions.create(**ASKED, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "yes"
    assert not any(getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks)


class Twice(lms.Module):
    """Two predictors with a field of one name."""

    def __init__(self) -> None:
        self.draft = lms.Predict("question -> answer")
        self.final = lms.Predict("question, draft -> answer")

    def forward(self, question: str) -> lms.Prediction:
        return self.final(question=question, draft=self.draft(question=question).answer)


def test_a_cache_hit_of_the_second_of_two_predictors_is_sent(serve: Any) -> None:
    serve([chat(answer="final"), chat(answer="draft")], cache=True)
    module = Twice()
    module.final(question="?", draft="draft")
    listeners = [lms.StreamListener("answer", predict_name=name) for name in ("draft", "final")]
    program = lms.streamify(module, stream_listeners=listeners)
    with served(lambda: program(question="?"), OpenAIFormat) as url:
        assert openai_texts(urllib.request.urlopen(url).read().decode())["content"] == "draft\n\nfinal"


def test_an_error_is_an_api_error_and_masked(serve: Any) -> None:
    serve(Reply(status=429, body={"error": {"message": "the inner details"}}), num_retries=0)
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    with client(lambda: program(q="?")) as made, pytest.raises(openai.APIError) as raised:
        list(made.chat.completions.create(**ASKED, stream=True))
    assert raised.value.message == "The answer could not be completed."
    assert raised.value.code == raised.value.type == "RateLimitError"


def test_an_error_comes_after_the_text_before_it() -> None:
    with client(lambda: stream_of([piece("answer", "Ni")], ValueError("x"))) as made:
        chunks = made.chat.completions.create(**ASKED, stream=True)
        next(chunks)
        assert next(chunks).choices[0].delta.content == "Ni"
        with pytest.raises(openai.APIError):
            next(chunks)


def test_a_broken_off_program_has_no_finish_reason() -> None:
    body = written(OpenAIFormat(), [piece("answer", "Ni")], ValueError("x"))
    assert "stop" not in body and body.endswith("data: [DONE]\n\n")


def test_raw_chunks_are_content_and_reasoning(serve: Any) -> None:
    serve(Reply("Because.", reasoning="Hm.", cut=2))
    lm = lms.settings.lm
    with client(lambda: lms.streamify(lambda: lm("why?")[0])()) as made:
        deltas = [c.choices[0].delta for c in made.chat.completions.create(**ASKED, stream=True) if c.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Because."
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."


def test_a_named_field_is_the_content_even_if_it_is_the_reasoning() -> None:
    events = [piece("reasoning", "a", True), piece("answer", "b", True)]
    assert openai_texts(written(OpenAIFormat(field="reasoning"), events)) == {"content": "a", "reasoning": ""}
    assert openai_texts(written(OpenAIFormat(field="answer"), events)) == {"content": "b", "reasoning": "a"}
    assert openai_texts(written(OpenAIFormat(field="p.answer"), events))["content"] == "b"
    assert openai_texts(written(OpenAIFormat(field="q.answer"), events))["content"] == ""


def test_fields_that_stream_at_once_come_one_after_the_other() -> None:
    events = [piece("a", "1"), piece("b", "x"), piece("a", "2", True), piece("b", "y"), piece("b", "z", True)]
    assert openai_texts(written(OpenAIFormat(), events))["content"] == "12\n\nxyz"


@pytest.mark.parametrize("field", [None, "answer"])
def test_a_restart_of_what_was_sent_is_an_error(field: str | None) -> None:
    body = written(OpenAIFormat(), [piece("answer", "no"), lms.StreamRestart("p", field), piece("answer", "yes", True)])
    assert "yes" not in body
    assert parts(body)[-1]["error"]["type"] == "StreamRestarted"


def test_a_restart_of_what_was_not_sent_is_none() -> None:
    empty = [piece("answer", ""), lms.StreamRestart("p"), piece("answer", "yes", True)]
    assert openai_texts(written(OpenAIFormat(), empty))["content"] == "yes"
    waiting = [
        piece("a", "1"),
        piece("b", "no"),
        lms.StreamRestart("p", "b"),
        piece("b", "yes", True),
        piece("a", "2", True),
    ]
    assert openai_texts(written(OpenAIFormat(), waiting))["content"] == "12\n\nyes"
    others = [piece("answer", "yes"), lms.StreamRestart("q"), piece("answer", "!", True)]
    assert openai_texts(written(OpenAIFormat(), others))["content"] == "yes!"


def test_the_stream_s_id_which_cancels_it_is_not_told() -> None:
    stream = stream_of([piece("answer", "yes", True)])
    body = "".join(Encoded(stream, OpenAIFormat(), None, False))
    assert stream.id not in body
    assert parts(body)[0]["id"] != parts(written(OpenAIFormat(), []))[0]["id"]


def test_usage_can_be_left_out(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    with served(lambda: program(q="?"), lambda: OpenAIFormat(usage=False, model="shop")) as url:
        body = urllib.request.urlopen(url).read().decode()
    assert all(part["choices"] and part["model"] == "shop" for part in parts(body))
    assert "usage" not in json.dumps(parts(body))
