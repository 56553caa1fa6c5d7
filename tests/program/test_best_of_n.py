"""`BestOfN`: several attempts, of which the best is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.crossing import run
from lmstream_sync.testing import Reply

from .conftest import Hooks, reply

ANSWERS = [reply(answer=text) for text in ("a pan", "a", "a frying pan")]


def words(inputs: dict[str, Any], prediction: lms.Prediction) -> float:
    """The more the better."""
    return len(prediction.answer.split())


def called(program: Any, **inputs: Any) -> Any:
    return program(**inputs)


def awaited(program: Any, **inputs: Any) -> Any:
    return asyncio.run(program.acall(**inputs))


def on_our_loop(program: Any, **inputs: Any) -> Any:
    return run(lambda: program.acall(**inputs), instead="")


class Sync(lms.Module):
    """A program that is synchronous itself."""

    def __init__(self) -> None:
        self.ask = lms.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        return self.ask(question=question)


@pytest.mark.parametrize("way", [called, awaited, on_our_loop])
@pytest.mark.parametrize("make", [lambda: lms.Predict("question -> answer"), Sync])
def test_the_best_of_all_is_kept(serve: Any, way: Callable[..., Any], make: Callable[[], Any]) -> None:
    server = serve(ANSWERS)
    made = way(lms.BestOfN(make(), N=3, reward_fn=words, threshold=9), question="?")
    assert made.answer == "a frying pan" and len(server.requests) == 3


def test_the_first_that_is_good_enough_ends_it(serve: Any) -> None:
    server = serve(ANSWERS)
    made = lms.BestOfN(lms.Predict("question -> answer"), N=3, reward_fn=words, threshold=2)(question="?")
    assert made.answer == "a pan" and len(server.requests) == 1


def test_without_a_threshold_all_attempts_are_made(serve: Any) -> None:
    server = serve(ANSWERS)
    made = lms.BestOfN(lms.Predict("question -> answer"), N=3, reward_fn=words, threshold=None)(question="?")
    assert made.answer == "a frying pan" and len(server.requests) == 3


def test_each_attempt_is_asked_anew(serve: Any) -> None:
    server = serve(ANSWERS, cache=True)
    program = lms.BestOfN(lms.Predict("question -> answer"), N=3, reward_fn=words, threshold=9)
    for _ in range(2):  # the second time from the cache, attempt by attempt
        assert program(question="asked anew?").answer == "a frying pan"
    assert len(server.requests) == 3
    bodies = [request.body for request in server.requests]
    assert [body["temperature"] for body in bodies] == [1.0] * 3 and bodies[0] == bodies[1] == bodies[2]
    lms.Predict("question -> answer")(question="asked anew?")
    assert len(server.requests) == 4 and "temperature" not in server.requests[3].body


def test_a_temperature_of_the_predictors_own_stays(serve: Any) -> None:
    server = serve(ANSWERS)
    predict = lms.Predict("question -> answer", temperature=0.5)
    lms.BestOfN(predict, N=2, reward_fn=words, threshold=9)(question="?")
    assert [request.body["temperature"] for request in server.requests] == [0.5, 0.5]


def test_attempts_within_attempts_are_all_different(serve: Any) -> None:
    server = serve(ANSWERS, cache=True, rollout_id=7)
    inner = lms.BestOfN(lms.Predict("question -> answer"), N=2, reward_fn=words, threshold=9)
    lms.BestOfN(inner, N=2, reward_fn=words, threshold=9)(question="nested?")
    assert len(server.requests) == 4


def test_the_reward_is_given_inputs_and_prediction_and_may_be_awaited(serve: Any) -> None:
    serve(ANSWERS)
    seen: list[Any] = []

    async def reward(inputs: dict[str, Any], prediction: Any) -> int:
        seen.append((inputs, prediction.answer))
        return 1

    program = lms.BestOfN(Sync(), N=3, reward_fn=reward, threshold=1)
    program("positional")  # type: ignore[call-arg]
    assert seen == [({"question": "positional"}, "a pan")]


def test_a_reward_that_asks_a_model_is_no_part_of_the_attempt(serve: Any) -> None:
    server = serve([ANSWERS[0], reply(grade="1")])
    judge = lms.Predict("answer -> grade: float")

    def reward(inputs: dict[str, Any], prediction: Any) -> float:
        grade: float = judge(answer=prediction.answer).grade
        return grade

    with lms.context(trace=(trace := [])):
        lms.BestOfN(lms.Predict("question -> answer"), N=3, reward_fn=reward, threshold=1)(question="?")
    assert "temperature" not in server.requests[1].body
    assert [made.answer for _, _, made in trace] == ["a pan"]


def test_the_trace_is_that_of_the_attempt_that_is_kept(serve: Any) -> None:
    serve(ANSWERS)
    predict = lms.Predict("question -> answer")
    with lms.context(trace=(trace := [])):
        lms.BestOfN(predict, N=3, reward_fn=words, threshold=9)(question="?")
    assert [(who, inputs, made.answer) for who, inputs, made in trace] == [
        (predict, {"question": "?"}, "a frying pan"),
    ]


def test_an_attempt_that_fails_is_passed_over(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    serve([Reply(status=401), *ANSWERS])
    made = lms.BestOfN(lms.Predict("question -> answer"), N=2, reward_fn=words, threshold=9)(question="?")
    assert made.answer == "a pan" and "attempt 1 failed" in caplog.text


@pytest.mark.parametrize(("fail_count", "asked"), [(None, 3), (1, 2), (0, 1)])
def test_too_many_failures_are_an_error(serve: Any, fail_count: int | None, asked: int) -> None:
    server = serve([Reply(status=401)])
    program = lms.BestOfN(lms.Predict("question -> answer"), 3, words, threshold=9, fail_count=fail_count)
    with pytest.raises(lms.AuthenticationError):
        program(question="?")
    assert len(server.requests) == asked


def test_a_reward_that_fails_is_a_failed_attempt(serve: Any) -> None:
    serve(ANSWERS)

    def reward(inputs: dict[str, Any], prediction: Any) -> float:
        return {"a": 0.5}[prediction.answer]

    program = lms.BestOfN(lms.Predict("question -> answer"), 3, reward, threshold=1)
    assert program(question="?").answer == "a"


def test_a_call_that_does_not_fit_is_refused_at_once(serve: Any) -> None:
    server = serve(ANSWERS)
    program = lms.BestOfN(lms.Predict("question -> answer"), 3, words, threshold=9)
    with pytest.raises(lms.SignatureError, match="missing: question"):
        program(town="?")
    with pytest.raises(lms.SignatureError, match="missing: question"):
        lms.streamify(program)(town="?")
    assert server.requests == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lms.BestOfN(lambda q: q, 3, words, 1), "give a module"),  # type: ignore[arg-type]
        (lambda: lms.BestOfN(Sync(), 0, words, 1), "N=0"),
        (lambda: lms.BestOfN(Sync(), True, words, 1), "N=True"),
        (lambda: lms.BestOfN(Sync(), 1, None, 1), "reward_fn=None"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(lms.ConfigurationError, match=said):
        make()


def test_a_listener_streams_the_first_attempt_or_each(serve: Any) -> None:
    serve(ANSWERS * 2)
    program = lms.BestOfN(Sync(), N=3, reward_fn=words, threshold=9)
    for reuse, texts in ((False, ["a pan"]), (True, ["a pan", "a", "a frying pan"])):
        listener = lms.StreamListener("answer", allow_reuse=reuse)
        *chunks, made = lms.streamify(program, stream_listeners=[listener])(question="?")
        runs = "".join(chunk.chunk + "|" * chunk.is_last_chunk for chunk in chunks).split("|")[:-1]
        assert (runs, made.answer) == (texts, "a frying pan")
        assert {chunk.predict_name for chunk in chunks} == {"module.ask"}


def test_hooks_see_it_and_its_attempts(serve: Any, hooks: Hooks) -> None:
    serve(ANSWERS)
    lms.BestOfN(lms.Predict("question -> answer"), N=2, reward_fn=words, threshold=9)(question="?")
    assert [each[1] for each in hooks.seen if each[0] == "start"] == ["BestOfN", "Predict", "Predict"]
    assert hooks.seen[0] == ("start", "BestOfN", {"question": "?"})
