"""`Refine`: attempts of which each is told what went wrong in the one before."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply

from .conftest import reply


class Two(lms.Module):
    """A program of two predictors."""

    def __init__(self) -> None:
        self.plan = lms.Predict("question -> plan")
        self.write = lms.Predict("plan -> answer")

    def forward(self, question: str) -> Any:
        return self.write(plan=self.plan(question=question).plan)


def one_word(inputs: dict[str, Any], prediction: lms.Prediction) -> float:
    return 1.0 if len(prediction.answer.split()) == 1 else 0.25


def advice(**by_name: str) -> str:
    return reply(discussion="The answer is too long.", advice=json.dumps(by_name))


def system(request: Any) -> str:
    text: str = request.body["messages"][0]["content"]
    return text


def test_the_next_attempt_is_told_what_to_do_better(serve: Any) -> None:
    server = serve(
        [
            reply(plan="say much"),
            reply(answer="a frying pan"),
            advice(write="Use one word.", plan="", other="Nothing."),
            reply(plan="say less"),
            reply(answer="pan"),
        ]
    )
    program = lms.Refine(Two(), N=3, reward_fn=one_word, threshold=1.0)
    assert [name for name, _ in program.named_predictors()] == ["module.plan", "module.write", "advise"]
    assert program(question="What sizzles?").answer == "pan"
    assert ["Use one word." in system(request) for request in server.requests] == [False, False, False, False, True]
    told = server.requests[2].prompt
    for text in ("What sizzles?", "say much", "a frying pan", "0.25", "def one_word", "plan", "write"):
        assert text in told
    assert [request.body.get("temperature") for request in server.requests] == [1.0, 1.0, None, 1.0, 1.0]


def test_the_program_itself_stays_as_it_was(serve: Any) -> None:
    server = serve([reply(answer="a pan"), advice(self="Use one word."), reply(answer="pan"), reply(answer="pan")])
    predict = lms.Predict("question -> answer")
    before = predict.signature
    assert lms.Refine(predict, N=2, reward_fn=one_word, threshold=1.0)(question="?").answer == "pan"
    predict(question="?")
    assert predict.signature is before
    assert ["Use one word." in system(request) for request in server.requests] == [False, False, True, False]


def test_the_last_attempt_gets_no_advice_and_the_best_is_kept(serve: Any) -> None:
    server = serve([reply(answer="a pan"), advice(self="Shorter."), reply(answer="two pans")])
    made = lms.Refine(lms.Predict("question -> answer"), N=2, reward_fn=one_word, threshold=1.0)(question="?")
    assert made.answer == "a pan" and len(server.requests) == 3


def test_without_advice_it_goes_on(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = serve([reply(answer="a pan"), Reply(status=401), reply(answer="pan")])
    made = lms.Refine(lms.Predict("question -> answer"), N=2, reward_fn=one_word, threshold=1.0)(question="?")
    assert made.answer == "pan" and len(server.requests) == 3 and "no advice" in caplog.text


def test_a_reward_whose_source_is_not_known(serve: Any) -> None:
    server = serve([reply(answer="a pan"), advice(), reply(answer="pan")])
    reward = eval(compile("lambda i, p: 0", "<nowhere>", "eval"))
    program = lms.Refine(lms.Predict("question -> answer"), N=2, reward_fn=reward, threshold=1.0)
    assert program(question="?").answer == "a pan" and "not known" in server.requests[1].prompt


def test_every_attempt_and_the_discussion_stream(serve: Any) -> None:
    serve([reply(answer="a pan"), advice(self="Shorter."), reply(answer="pan")])
    listeners = [lms.StreamListener("answer", allow_reuse=True), lms.StreamListener("discussion")]
    program = lms.Refine(lms.Predict("question -> answer"), N=2, reward_fn=one_word, threshold=1.0)
    *chunks, made = lms.streamify(program, stream_listeners=listeners)(question="?")
    assert "".join(chunk.chunk + "|" * chunk.is_last_chunk for chunk in chunks) == "a pan|The answer is too long.|pan|"
    assert made.answer == "pan"
