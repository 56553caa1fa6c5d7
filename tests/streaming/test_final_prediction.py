"""When the final Prediction comes, and when it is withheld."""

from __future__ import annotations

from typing import Any

import lmstream_sync as lms

from .replies import chat


def predictions(events: list[Any]) -> list[lms.Prediction]:
    return [e for e in events if isinstance(e, lms.Prediction)]


def listening(**options: Any) -> Any:
    return lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], **options)


def test_it_comes_last(serve: Any) -> None:
    serve(chat(answer="yes"))
    events = list(listening()(q="?"))
    assert predictions(events) == [events[-1]]


def test_it_is_withheld_when_asked_and_result_gives_it_all_the_same(serve: Any) -> None:
    serve(chat(answer="yes"))
    stream = listening(include_final_prediction_in_output_stream=False)(q="?")
    assert predictions(list(stream)) == []
    assert stream.result().answer == "yes"
    assert stream.prediction is stream.result()


def test_one_call_may_ask_otherwise(serve: Any) -> None:
    serve(chat(answer="yes"))
    assert predictions(list(listening()(q="?", include_final_prediction_in_output_stream=False))) == []


def test_a_cache_hit_streams_no_chunks_and_gives_the_prediction_though_withheld(serve: Any) -> None:
    server = serve(chat(answer="yes"), cache=True)
    program = listening(include_final_prediction_in_output_stream=False)
    first = list(program(q="cached?"))
    second = list(program(q="cached?"))
    assert predictions(first) == []
    assert [type(e) for e in second] == [lms.Prediction] and second[0].answer == "yes"
    assert server.request_count == 1


def test_it_comes_though_withheld_when_no_listener_caught_anything(serve: Any) -> None:
    serve(chat(answer="yes"))

    class Silent(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> answer")

        def forward(self, q: str) -> lms.Prediction:
            return lms.Prediction(answer="made up")

    program = lms.streamify(
        Silent(), stream_listeners=[lms.StreamListener("answer")], include_final_prediction_in_output_stream=False
    )
    (only,) = program(q="?")
    assert only.answer == "made up"


def test_it_comes_though_withheld_without_listeners(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(lms.Predict("q -> answer"), include_final_prediction_in_output_stream=False)
    assert len(predictions(list(program(q="?")))) == 1


def test_a_final_value_that_is_no_prediction_always_comes_unless_it_is_none() -> None:
    assert list(lms.streamify(lambda: 42, include_final_prediction_in_output_stream=False)()) == [42]
    assert list(lms.streamify(lambda: None)()) == []


def test_raw_chunks_come_without_listeners_and_carry_the_predict_id(serve: Any) -> None:
    import litellm

    serve(chat(answer="yes"))
    predict = lms.Predict("q -> answer")
    events = list(lms.streamify(predict)(q="?"))
    raw = [e for e in events if isinstance(e, litellm.ModelResponseStream)]
    assert "".join(e.choices[0].delta.content or "" for e in raw) == chat(answer="yes")
    assert {e.predict_id for e in raw} == {id(predict)}
    assert len(events) == len(raw) + 1
