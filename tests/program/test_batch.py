"""`Module.batch`: a list of examples, so many at a time, results in their order."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply

from .conftest import reply

QA = "q -> answer"


def echo(request: dict[str, Any]) -> Reply:
    """Answers with what was asked; refuses what is bad."""
    asked = request["messages"][-1]["content"].split("<q>")[1].split("</q>")[0]
    if asked.startswith("bad"):
        return Reply(status=400, body=f"no {asked}")
    return Reply(reply(answer=f"answer to {asked}"))


def examples(*asked: Any) -> list[lms.Example]:
    return [lms.Example(q=f"<q>{each}</q>", answer="the label").with_inputs("q") for each in asked]


def test_results_come_in_the_order_of_the_examples(serve: Any) -> None:
    slow = Gate()
    server = serve(
        {"<q>0</q>": Reply(reply(answer="0"), pauses={0: slow}), "<q>1</q>": reply(answer="1"), "": reply(answer="n")}
    )
    threading.Thread(target=lambda: (server.wait_for_request(5, timeout=20), slow.release())).start()
    got = lms.Predict(QA).batch(examples(0, 1, 2, 3, 4), num_threads=5)
    assert [each.answer for each in got] == ["0", "1", "n", "n", "n"]


def test_no_more_than_num_threads_at_once(serve: Any) -> None:
    lock, running, most = threading.Lock(), 0, 0

    class Program(lms.Module):
        def forward(self, q: str) -> int:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.002)
            with lock:
                running -= 1
            return len(q)

    program = Program()
    assert len(program.batch(examples(*range(40)), num_threads=3)) == 40
    assert most == 3
    most = 0
    with lms.context(num_threads=2):
        program.batch(examples(*range(10)))
    assert most == 2


def test_one_that_fails_is_none_and_is_logged(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    serve(echo)
    with caplog.at_level(logging.ERROR, logger="lmstream_sync"):
        got = lms.Predict(QA).batch(examples("a", "bad", "c"))
    assert got[0].answer == "answer to a" and got[1] is None and got[2].answer == "answer to c"
    assert "example 1 failed: BadRequestError" in caplog.text and "Traceback" not in caplog.text


def test_failed_examples_are_given_back_when_asked_for(serve: Any) -> None:
    serve(echo)
    asked = examples("bad 1", "b", "bad 2")
    results, failed, errors = lms.Predict(QA).batch(asked, return_failed_examples=True)
    assert [each and each.answer for each in results] == [None, "answer to b", None]
    assert failed == [asked[0], asked[2]]
    assert [type(each) for each in errors] == [lms.BadRequestError] * 2 and "bad 2" in str(errors[1])


def test_too_many_errors_stop_all_and_say_the_first(serve: Any) -> None:
    server = serve(echo)
    with pytest.raises(
        lms.LMStreamError, match=r"2 of 200 examples failed and max_errors=2.*BadRequestError"
    ) as raised:
        lms.Predict(QA).batch(examples(*(f"bad {n}" for n in range(200))), max_errors=2, num_threads=2)
    assert isinstance(raised.value.__cause__, lms.BadRequestError)
    assert server.request_count < 20
    with lms.context(max_errors=1), pytest.raises(lms.LMStreamError, match="max_errors=1"):
        lms.Predict(QA).batch(examples("bad"))


def test_the_traceback_is_logged_when_asked_for_and_never_a_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-secret-value")

    class Fails(lms.Module):
        def forward(self, q: str) -> None:
            raise ValueError("the key is very-secret-value")

    Fails().batch(examples("a"), provide_traceback=True)
    assert "Traceback" in caplog.text and "ValueError: the key is ***" in caplog.text
    assert "very-secret-value" not in caplog.text


def test_dicts_and_tuples_are_examples_too(serve: Any) -> None:
    class Adds(lms.Module):
        async def aforward(self, a: int, b: int = 10) -> int:
            return a + b

    assert Adds().batch([{"a": 1}, (2, 3), lms.Example(a=5, b=5)]) == [11, 5, 10]
    assert Adds().batch([]) == []
    with pytest.raises(lms.ConfigurationError, match="an input is a int"):
        Adds().batch([1])
    with pytest.raises(lms.ConfigurationError, match="one dict"):
        Adds().batch({"a": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"num_threads": -1}, {"max_errors": 0}, {"num_threads": 1.5}, {"timeout": "1"}])
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(lms.ConfigurationError, match=next(iter(options))):
        lms.Predict(QA).batch(examples("a"), **options)


def test_timeout_is_that_of_each_example() -> None:
    class Waits(lms.Module):
        async def aforward(self, q: str) -> str:
            await asyncio.sleep(60 if "slow" in q else 0.02)
            return q

    asked = examples(*range(12), "slow")
    results, failed, errors = Waits().batch(asked, num_threads=1, timeout=0.15, return_failed_examples=True)
    assert failed == [asked[12]] and isinstance(errors[0], lms.StreamTimeout)
    assert None not in results[:12]
    assert Waits().batch(examples(1), timeout=0) == ["<q>1</q>"]


def test_no_lm_is_one_error(serve: Any) -> None:
    with lms.context(lm=None), pytest.raises(lms.ConfigurationError, match="no LM"):
        lms.Predict(QA).batch(examples(1, 2, 3))


def test_an_interrupt_passes(serve: Any) -> None:
    class Interrupted(lms.Module):
        def forward(self, q: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted().batch(examples(1, 2))


def test_a_batch_within_a_program_streams_and_stops_with_it(serve: Any) -> None:
    server = serve(Reply(reply(answer="word " * 500), cut=5, delay=0.002))

    class Outer(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict(QA)

        def forward(self, n: int) -> int:
            return len(self.ask.batch(examples(*range(n))))

    stream = lms.streamify(Outer(), stream_listeners=[lms.StreamListener("answer")])(n=4)
    assert isinstance(next(stream), lms.StreamResponse)
    server.wait_for_request(4, timeout=20)
    stream.close()
    server.wait_for_reader_left(4, timeout=20)


def test_on_the_loop_it_says_what_to_use() -> None:
    class Outer(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict(QA)

        async def aforward(self) -> Any:
            return self.ask.batch(examples(1))

    with pytest.raises(lms.StreamError, match="run_many"):
        Outer()()


def test_hooks_see_each_call_once(serve: Any, hooks: Any) -> None:
    serve(echo)
    lms.Predict(QA).batch(examples(1, 2))
    assert [seen[0] for seen in hooks.seen] in (["start", "start", "end", "end"], ["start", "end", "start", "end"])


# The progress bar.


def on_a_terminal(body: str) -> str:
    """What a program writes to its terminal."""
    pty = pytest.importorskip("pty")
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  # replaced at once
        os.execv(sys.executable, [sys.executable, "-c", body])
    written = b""
    try:
        while data := os.read(terminal, 4096):
            written += data
    except OSError:  # Linux: the other end was closed
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return written.decode()


PROGRAM = """
import lmstream_sync as lms
class Adds(lms.Module):
    async def aforward(self, a):
        return a + 1
print(Adds().batch([(n,) for n in range(7)], disable_progress_bar={disabled}))
"""


def test_a_terminal_shows_a_bar() -> None:
    pytest.importorskip("rich")
    written = on_a_terminal(PROGRAM.format(disabled=False))
    assert "Adds.batch" in written and "7/7" in written and "[1, 2, 3, 4, 5, 6, 7]" in written


def test_no_bar_where_it_is_disabled_or_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    written = on_a_terminal(PROGRAM.format(disabled=True))
    assert written.strip() == "[1, 2, 3, 4, 5, 6, 7]"

    class Adds(lms.Module):
        async def aforward(self, a: int) -> int:
            return a + 1

    Adds().batch([(1,)])
    assert capfd.readouterr().err == ""
