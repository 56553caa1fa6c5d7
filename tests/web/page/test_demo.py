"""`python -m lmstream_sync demo`, as somebody would run it."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

import lmstream_sync
from lmstream_sync.cli.demo_program import BREAKS, LEAP_DAY, RESTARTS, STREAMED
from lmstream_sync.cli.demo_script import next_leap_day
from lmstream_sync.testing import Reply, ScriptedServer
from tests.web.page.conftest import Chat

COMMAND = [sys.executable, "-m", "lmstream_sync"]
ROOT = Path(lmstream_sync.__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=50, cwd=ROOT)


@contextmanager
def demo(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command on a free port; gives what it prints first, and the process."""
    process = subprocess.Popen(
        [*COMMAND, "demo", "--port", "0", "--no-browser", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline(), process
    finally:
        process.kill()
        process.communicate()


def test_without_a_command_it_says_which_there_are() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m lmstream_sync" in done.stdout
    assert "demo" in done.stdout


def test_an_unknown_command() -> None:
    done = run("dmeo")
    assert done.returncode == 2
    assert "invalid choice: 'dmeo'" in done.stderr


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_had(port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = str(taken.getsockname()[1]) if port == "taken" else port
        done = run("demo", "--no-browser", "--port", asked)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"port {asked} cannot be used: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_ends_it_quietly_in_the_middle_of_an_answer() -> None:
    with demo() as (line, process):
        question = f'{{"question": "{STREAMED}", "history": {{"messages": []}}}}'.encode()
        request = urllib.request.Request(f"{line.split()[0]}ask", question, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            response.readline()
            process.send_signal(signal.SIGINT)
            printed, complaints = process.communicate(timeout=20)
    assert (process.returncode, printed.strip(), complaints) == (0, "", "")


def test_other_paths_are_not_found() -> None:
    with demo() as (line, _):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{line.split()[0]}etc/passwd")
        with urllib.request.urlopen(urllib.request.Request(line.split()[0], method="HEAD")) as response:
            assert response.read() == b""
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_model_of_ones_own() -> None:
    steps = (
        "[[ ## next_thought ## ]]\nI know.\n\n[[ ## next_tool_name ## ]]\nfinish\n\n[[ ## next_tool_args ## ]]\n{}\n"
    )
    with ScriptedServer([steps, "[[ ## reasoning ## ]]\nSo.\n\n[[ ## answer ## ]]\nYes."], api_key="sk-own") as model:
        with demo("--model", "openai/own", "--api-base", model.url, OPENAI_API_KEY="sk-own") as (line, _):
            assert "openai/own answers" in line
            question = b'{"question": "Well?", "history": {"messages": []}}'
            request = urllib.request.Request(f"{line.split()[0]}ask", question, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as response:
                assert b'"answer":"Yes."' in response.read()
        assert model.requests[0].body["model"] == "own"


def test_a_wrong_key_is_a_refusal(open_page: Callable[..., Chat]) -> None:
    with (
        ScriptedServer(Reply(status=401)) as model,
        demo("--api-base", model.url, OPENAI_API_KEY="sk-wrong") as (line, _),
    ):
        page = open_page(line.split()[0])
        page.ask("Well?")
        expect(page.alert).to_contain_text("AuthenticationError, HTTP 401")


def test_what_a_visitor_sees(open_page: Callable[..., Chat]) -> None:
    with demo() as (line, _):
        assert "a scripted model answers" in line
        page = open_page(line.split()[0])
        page.page.get_by_role("button", name=LEAP_DAY).click()
        day = next_leap_day(datetime.date.today())
        expect(page.page.locator(".steps")).to_contain_text(f"Looking up {day} in the calendar")
        expect(page.answers).to_contain_text("in about 3,000 years.")
        page.expect_over()
        page.ask(BREAKS)
        expect(page.alert).to_contain_text("The answer could not be completed.")
        page.button("Try again").click()
        expect(page.answers.last).to_contain_text("did not ride on until morning.")
        page.expect_over()
        page.ask(RESTARTS)
        expect(page.page.locator(".turn").last).to_contain_text("Starting over")
        expect(page.answers.last).to_contain_text("This is the second attempt.")
        page.expect_over()
        page.ask("Something else?")
        expect(page.answers.last).to_contain_text("This demo runs by a script")
        page.expect_over()
        assert page.errors == []


@pytest.mark.parametrize(
    ("today", "leap"), [("2026-11-21", 2028), ("2028-02-28", 2028), ("2028-02-29", 2032), ("2096-03-01", 2104)]
)
def test_the_next_leap_day(today: str, leap: int) -> None:
    assert next_leap_day(datetime.date.fromisoformat(today)) == datetime.date(leap, 2, 29)
