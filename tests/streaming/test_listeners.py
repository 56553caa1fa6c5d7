"""What a listener gets, and which predictor it means."""

from __future__ import annotations

from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply

from .replies import chat


def chunks(events: list[Any], field: str) -> list[lms.StreamResponse]:
    return [e for e in events if isinstance(e, lms.StreamResponse) and e.signature_field_name == field]


def test_chunks_of_a_field_join_to_its_value_and_keep_the_providers_pieces(serve: Any) -> None:
    serve(Reply(pieces=["[[ ## answer ## ]]\nTo", " reach", " the", " pan.", "\n\n[[ ## completed ## ]]"]))
    answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])
    events = list(answer(question="Why?"))
    assert [e.chunk for e in chunks(events, "answer")] == ["To", " reach", " the", " pan.", ""]
    assert [e.is_last_chunk for e in chunks(events, "answer")] == [False] * 4 + [True]
    assert all(e.predict_name == "self" for e in chunks(events, "answer"))
    assert isinstance(events[-1], lms.Prediction) and events[-1].answer == "To reach the pan."


def test_two_fields_stream_in_the_order_of_the_reply(serve: Any) -> None:
    serve(Reply(chat(answer="A pan.", reasoning="Think."), cut=3))
    program = lms.streamify(
        lms.Predict("question->answer, reasoning"),
        stream_listeners=[lms.StreamListener("reasoning"), lms.StreamListener("answer")],
    )
    events = list(program(question="q"))
    names = [e.signature_field_name for e in events if isinstance(e, lms.StreamResponse)]
    assert names == sorted(names, key=["answer", "reasoning"].index)
    assert "".join(e.chunk for e in chunks(events, "answer")) == "A pan."
    assert "".join(e.chunk for e in chunks(events, "reasoning")) == "Think."
    assert [e.is_last_chunk for e in chunks(events, "answer")].count(True) == 1


def test_an_empty_field_gives_one_empty_last_chunk(serve: Any) -> None:
    serve(chat(note="", answer="yes"))
    program = lms.streamify(lms.Predict("q -> note, answer"), stream_listeners=[lms.StreamListener("note")])
    (event,) = chunks(list(program(q="?")), "note")
    assert (event.chunk, event.is_last_chunk) == ("", True)


class TwoSteps(lms.Module):
    def __init__(self) -> None:
        self.draft = lms.Predict("question -> answer")
        self.final = lms.Predict("question, draft -> answer")

    def forward(self, question: str) -> lms.Prediction:
        draft = self.draft(question=question)
        return self.final(question=question, draft=draft.answer)


def test_of_two_predictors_with_the_field_one_is_named(serve: Any) -> None:
    serve([chat(answer="draft"), chat(answer="done")])
    program = lms.streamify(TwoSteps(), stream_listeners=[lms.StreamListener("answer", predict_name="final")])
    events = list(program(question="q"))
    assert "".join(e.chunk for e in chunks(events, "answer")) == "done"
    assert {e.predict_name for e in chunks(events, "answer")} == {"final"}


def test_a_predictor_may_be_given_itself(serve: Any) -> None:
    serve([chat(answer="draft"), chat(answer="done")])
    module = TwoSteps()
    listener = lms.StreamListener("answer", predict=module.draft)
    events = list(lms.streamify(module, stream_listeners=[listener])(question="q"))
    assert "".join(e.chunk for e in chunks(events, "answer")) == "draft"


def test_only_listened_predictors_are_asked_to_stream(serve: Any) -> None:
    server = serve([chat(answer="draft"), chat(answer="done")])
    program = lms.streamify(TwoSteps(), stream_listeners=[lms.StreamListener("answer", predict_name="final")])
    list(program(question="q"))
    assert [bool(request.body.get("stream")) for request in server.requests] == [False, True]


def test_an_ambiguous_field_is_refused_and_the_predictors_named() -> None:
    with pytest.raises(lms.ListenerError, match="draft.*final.*predict_name"):
        lms.streamify(TwoSteps(), stream_listeners=[lms.StreamListener("answer")])


def test_an_unknown_field_is_refused_and_the_fields_named() -> None:
    with pytest.raises(lms.ListenerError, match=r"'anwser'.*answer \(of self\)"):
        lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("anwser")])


def test_an_input_field_is_refused() -> None:
    with pytest.raises(lms.ListenerError, match="input field"):
        lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("q")])


def test_an_unknown_predictor_name_is_refused() -> None:
    with pytest.raises(lms.ListenerError, match="'other'.*draft, final"):
        lms.streamify(TwoSteps(), stream_listeners=[lms.StreamListener("answer", predict_name="other")])


def test_what_is_no_listener_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match="StreamListener"):
        lms.streamify(lms.Predict("q -> a"), stream_listeners=["a"])  # type: ignore[list-item]


class Twice(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("question -> answer")

    def forward(self, question: str) -> lms.Prediction:
        self.ask(question=question)
        return self.ask(question=question)


def test_by_default_the_first_run_streams_and_with_allow_reuse_each(serve: Any) -> None:
    serve([chat(answer="one"), chat(answer="two"), chat(answer="one"), chat(answer="two")])
    once = lms.streamify(Twice(), stream_listeners=[lms.StreamListener("answer")])
    assert "".join(e.chunk for e in chunks(list(once(question="q")), "answer")) == "one"
    each = lms.streamify(Twice(), stream_listeners=[lms.StreamListener("answer", allow_reuse=True)])
    assert "".join(e.chunk for e in chunks(list(each(question="q")), "answer")) == "onetwo"


def test_listeners_keep_no_state_between_calls(serve: Any) -> None:
    serve(chat(answer="again"))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    for _ in range(3):
        assert "".join(e.chunk for e in chunks(list(program(q="?")), "answer")) == "again"


def test_a_function_matches_the_first_predictor_that_has_the_field(serve: Any) -> None:
    serve([chat(topic="pans"), chat(answer="yes")])

    def program(question: str) -> lms.Prediction:
        lms.Predict("question -> topic")(question=question)
        return lms.Predict("question -> answer")(question=question)

    events = list(lms.streamify(program, stream_listeners=[lms.StreamListener("answer")])(question="q"))
    assert "".join(e.chunk for e in chunks(events, "answer")) == "yes"


def test_chain_of_thought_streams_its_reasoning_by_the_nested_name(serve: Any) -> None:
    serve(chat(reasoning="Because.", answer="yes"))
    program = lms.streamify(lms.ChainOfThought("q -> answer"), stream_listeners=[lms.StreamListener("reasoning")])
    events = list(program(q="?"))
    assert "".join(e.chunk for e in chunks(events, "reasoning")) == "Because."
    assert {e.predict_name for e in chunks(events, "reasoning")} == {"predict"}


def test_stream_gives_every_output_field_of_every_predictor(serve: Any) -> None:
    serve([chat(answer="draft"), chat(answer="done")])
    events = list(lms.stream(TwoSteps(), question="q"))
    texts = {
        name: "".join(e.chunk for e in chunks(events, "answer") if e.predict_name == name)
        for name in ("draft", "final")
    }
    assert texts == {"draft": "draft", "final": "done"}
    assert isinstance(events[-1], lms.Prediction)


def test_a_typed_field_streams_its_text_and_comes_back_as_its_type(serve: Any) -> None:
    serve(Reply(chat(score=" 0.75 ", tags='["a", "b"]'), cut=2))
    program = lms.streamify(
        lms.Predict("q -> score: float, tags: list[str]"),
        stream_listeners=[lms.StreamListener("score"), lms.StreamListener("tags")],
    )
    stream = program(q="?")
    events = list(stream)
    final = stream.result()
    assert (final.score, final.tags) == (0.75, ["a", "b"])
    assert "".join(e.chunk for e in chunks(events, "tags")) == final.raw("tags") == '["a", "b"]'
    assert "".join(e.chunk for e in chunks(events, "score")) == final.raw("score") == "0.75"
