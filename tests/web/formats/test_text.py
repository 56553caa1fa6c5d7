"""Plain text: the answer's characters and no others."""

from __future__ import annotations

import threading
import urllib.request
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.events import ManyResult, MergedEvent
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.text import TextFormat

from ...streaming.replies import chat
from .programs import listened_shop
from .reading import written
from .served import served


def piece(field: str, chunk: Any, last: bool = False) -> lms.StreamResponse:
    return lms.StreamResponse("p", field, chunk, last)


def test_a_program_s_answer_over_http(serve: Any) -> None:
    serve(Reply(chat(reasoning="Let me see.", answer="Nine\r\n\r\neuros \U0001f600."), cut=1))
    with served(listened_shop, TextFormat) as url, urllib.request.urlopen(url) as response:
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.read().decode() == "Nine\r\n\r\neuros \U0001f600."


def test_a_piece_is_there_before_the_next_is_made() -> None:
    go_on = threading.Event()

    def events() -> Any:
        yield piece("answer", "Ni")
        assert go_on.wait(20)
        yield piece("answer", "ne", True)

    with served(lambda: stream_of(events()), TextFormat) as url, urllib.request.urlopen(url) as response:
        assert response.read1() == b"Ni"
        go_on.set()
        assert response.read() == b"ne"


def test_a_cache_hit_gives_the_whole_text(serve: Any) -> None:
    serve(chat(reasoning="Hm.", answer="yes"), cache=True)
    predict = lms.ChainOfThought("question -> answer")
    predict(question="?")
    program = lms.streamify(predict, stream_listeners=[lms.StreamListener("answer"), lms.StreamListener("reasoning")])
    with served(lambda: program(question="?"), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b"yes"


def test_who_listens_to_the_reasoning_alone_gets_it(serve: Any) -> None:
    serve(chat(reasoning="Hm.", answer="yes"))
    program = lms.streamify(
        lms.ChainOfThought("question -> answer"), stream_listeners=[lms.StreamListener("reasoning")]
    )
    with served(lambda: program(question="?"), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b"Hm."


@pytest.mark.parametrize("granularity", ["item", "value"])
def test_a_field_of_items_or_values_comes_whole(serve: Any, granularity: Any) -> None:
    serve(Reply(chat(names='["a", "b"]'), cut=2))
    program = lms.streamify(
        lms.Predict("question -> names: list[str]"),
        stream_listeners=[lms.StreamListener("names", granularity=granularity)],
    )
    with served(lambda: program(question="?"), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b'["a", "b"]'


def test_a_failure_is_a_last_line() -> None:
    masked = "error: The answer could not be completed. (ProgramError)\n"
    assert written(TextFormat(), [piece("answer", "Ni")], ValueError("x")) == f"Ni\n{masked}"
    assert written(TextFormat(), [piece("answer", "Ni\n")], ValueError("x")) == f"Ni\n{masked}"
    assert written(TextFormat(), [], ValueError("x")) == masked
    assert written(TextFormat(), [], ValueError("x"), expose_errors=True) == "error: x (ValueError)\n"


def test_what_waited_is_there_before_the_failure() -> None:
    text = written(TextFormat(), [piece("a", "1"), piece("b", "x")], ValueError("x"))
    assert text.startswith("1\n\nx\nerror: ")


def test_a_restart_after_text_is_an_error_and_before_it_none() -> None:
    again = [piece("answer", "no"), lms.StreamRestart("p", "answer"), piece("answer", "yes", True)]
    assert written(TextFormat(), again).endswith("(StreamRestarted)\n")
    unseen = [piece("reasoning", "no"), lms.StreamRestart("p"), piece("answer", "yes", True)]
    assert written(TextFormat(), unseen) == "yes"


def test_strings_of_a_program_without_fields_are_its_text() -> None:
    assert written(TextFormat(), ["a", "data: b", "", "c"]) == "adata: bc"


def test_strings_from_anything_asynchronous_are_text() -> None:
    async def letters() -> Any:
        for letter in "abc":
            yield letter

    with served(lambda: lms.iterate(letters), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b"abc"


def test_a_string_that_is_emitted_beside_fields_is_no_text() -> None:
    assert written(TextFormat(), [piece("answer", "a"), "emitted", piece("answer", "b", True)]) == "ab"


def test_the_string_that_a_program_gives_back_is_the_answer_where_nothing_streamed(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    predict = lms.Predict("question -> answer")

    def program(question: str) -> str:
        lms.emit({"working": True})
        return predict(question=question).answer + "!"

    listened = lms.streamify(program, stream_listeners=[lms.StreamListener("answer", predict=predict)])
    predict(question="?")
    with served(lambda: listened(question="?"), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b"yes!"
    with served(lambda: listened(question="another"), TextFormat) as url:
        assert urllib.request.urlopen(url).read() == b"yes"


def test_results_of_many_inputs_stand_apart() -> None:
    results = [
        ManyResult(0, lms.Prediction(answer="a")),
        ManyResult(1, ValueError("x")),
        ManyResult(2, "c"),
    ]
    text = written(TextFormat(), results)
    assert text == "a\n\nerror: The answer could not be completed. (ProgramError)\n\nc"


def test_merged_streams_stand_apart() -> None:
    events = [
        MergedEvent("one", piece("answer", "a")),
        MergedEvent("two", piece("answer", "x")),
        MergedEvent("one", piece("answer", "b", True)),
        MergedEvent("one", lms.Prediction(answer="ab")),
        MergedEvent("two", KeyError("x")),
        MergedEvent("three", lms.Prediction(answer="hit")),
    ]
    failed = "error: The answer could not be completed. (ProgramError)"
    assert written(TextFormat(), events) == f"ab\n\nx\n\n{failed}\n\nhit"
