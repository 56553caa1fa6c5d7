"""`Parallel`: pairs of a program and its inputs at the same time, results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.crossing import run

from .conftest import reply


class Meets(lms.Module):
    """Goes on when as many run as the barrier has places."""

    def __init__(self, together: threading.Barrier) -> None:
        self.together = together

    def forward(self, n: int) -> tuple[int, Any]:
        self.together.wait(10)
        return n, lms.settings.get("mark")


def echo(request: dict[str, Any]) -> str:
    question = request["messages"][-1]["content"].split("\n")[1]
    return reply(answer=f"so: {question}")


@pytest.fixture
def quiet() -> lms.Parallel:
    return lms.Parallel(num_threads=3, disable_progress_bar=True)


def test_results_come_in_order_whatever_the_programs_are(serve: Any, quiet: lms.Parallel) -> None:
    serve(echo)
    ask = lms.Predict("question -> answer")
    pairs = [
        (ask, {"question": "one"}),
        (ask, lms.Example(question="two", answer="?").with_inputs("question")),
        (lambda a, b: a + b, (1, 2)),
        (quiet, [(ask, {"question": "three"})]),
    ]
    one, two, three, [four] = quiet(pairs)
    assert (one.answer, two.answer, three, four.answer) == ("so: one", "so: two", 3, "so: three")


def test_they_run_at_the_same_time_with_the_settings_in_force(quiet: lms.Parallel) -> None:
    program = Meets(threading.Barrier(3))
    with lms.context(mark="here"):
        assert quiet([(program, {"n": n}) for n in range(6)]) == [(n, "here") for n in range(6)]


def test_no_more_than_so_many_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()
    two = threading.Barrier(2)

    def program(n: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        two.wait(10)
        with lock:
            running -= 1

    lms.Parallel(num_threads=5, disable_progress_bar=True)([(program, (n,)) for n in range(8)], num_threads=2)
    assert most == 2


def fails(n: int) -> int:
    if n % 2:
        raise ValueError(f"odd: {n}")
    return n


def test_a_failure_leaves_a_gap_and_is_logged(quiet: lms.Parallel, caplog: pytest.LogCaptureFixture) -> None:
    assert quiet([(fails, (n,)) for n in range(4)]) == [0, None, 2, None]
    assert "odd: 1" in caplog.text and "odd: 3" in caplog.text


def test_failures_may_be_given_too() -> None:
    parallel = lms.Parallel(return_failed_examples=True, disable_progress_bar=True)
    results, inputs, errors = parallel([(fails, (n,)) for n in range(4)])
    assert (results, inputs, [str(error) for error in errors]) == (
        [0, None, 2, None],
        [(1,), (3,)],
        ["odd: 1", "odd: 3"],
    )


def test_too_many_failures_end_it() -> None:
    parallel = lms.Parallel(num_threads=1, max_errors=2, disable_progress_bar=True)
    ran: list[int] = []

    def program(n: int) -> None:
        ran.append(n)
        raise ValueError(f"no {n}")

    with pytest.raises(lms.LMStreamError, match="max_errors=2") as caught:
        parallel([(program, (n,)) for n in range(50)])
    assert isinstance(caught.value.__cause__, ValueError) and len(ran) < 10


def test_an_example_may_be_the_argument_itself() -> None:
    example = lms.Example(question="two")
    parallel = lms.Parallel(access_examples=False, disable_progress_bar=True)
    assert parallel([(lambda given: given, example)]) == [example]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lms.Parallel()([(fails, 3)]),
        lambda: lms.Parallel()([fails]),
        lambda: lms.Parallel()([(3, {})]),
        lambda: lms.Parallel(num_threads=-1)([(fails, (1,))]),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(lms.ConfigurationError):
        make()


def test_on_the_loop_it_is_refused(quiet: lms.Parallel) -> None:
    async def blocks() -> Any:
        return quiet([(fails, (0,))])

    with pytest.raises(lms.StreamError, match="run_many"):
        run(blocks, instead="")


def test_it_runs_in_a_program_that_streams(serve: Any, quiet: lms.Parallel) -> None:
    serve(echo)

    class Both(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("question -> answer")

        def forward(self, questions: list[str]) -> Any:
            made = quiet([(self.ask, {"question": question}) for question in questions])
            return lms.Prediction(answer=" ".join(each.answer for each in made))

    listener = lms.StreamListener("answer", allow_reuse=True)
    *chunks, made = lms.streamify(Both(), stream_listeners=[listener])(questions=["one", "two"])
    assert made.answer == "so: one so: two"
    assert sum(chunk.is_last_chunk for chunk in chunks) == 2
