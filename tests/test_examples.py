"""Each example runs, as a newcomer runs it, and prints what it promises."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmstream_sync.testing import ScriptedServer, read_sse

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOTE = "(no OPENAI_API_KEY is set: a scripted server on this machine answers, over real HTTP)\n"


def environment() -> dict[str, str]:
    """As a newcomer's: no key, so that nothing leaves this machine; the package is the one tested here."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(EXAMPLES.parent)}


def output_of(name: str) -> str:
    """What the example prints after the line that says who answers; it must print no warnings."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, encoding="utf-8", timeout=50, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(NOTE)
    return done.stdout.removeprefix(NOTE)


def test_quickstart() -> None:
    assert output_of("quickstart.py") == (
        "To get to the other side of the counter, where the corn is kept.\n\n"
        "The reasoning behind it: Kitchens have two sides, and a chicken is curious about the one it is not on.\n"
    )


def test_with_a_key_a_real_provider_is_asked() -> None:
    """`OPENAI_API_KEY` leads to OpenAI, or wherever `OPENAI_BASE_URL` says that it is."""
    with ScriptedServer("[[ ## reasoning ## ]]\nSo it is.\n\n[[ ## answer ## ]]\nIt wanted to.\n") as server:
        done = subprocess.run(
            [sys.executable, EXAMPLES / "quickstart.py"],
            capture_output=True,
            encoding="utf-8",
            timeout=50,
            env=environment() | {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": server.url},
        )
        assert server.request_count == 1
    assert done.stderr == ""
    assert done.stdout == "(openai/gpt-4o-mini answers)\nIt wanted to.\n\nThe reasoning behind it: So it is.\n"


def test_listeners() -> None:
    printed = output_of("listeners.py")
    rows = re.findall(r"^ *(\S+) \| +(\w+) \| '(.*)'$", printed, re.MULTILINE)
    texts = {
        where: "".join(chunk for *found, chunk in rows if tuple(found) == where) for where in {row[:2] for row in rows}
    }
    assert texts == {
        ("draft", "text"): "Tea is hot leaf water, and the best hour of the day.",
        ("critic.predict", "verdict"): "Keep the second half.",
    }
    assert len(rows) > 6
    assert printed.endswith("lost: The first half is true and dull. The second half saves it.\n")


def test_status_messages() -> None:
    assert output_of("status_messages.py").splitlines() == [
        "[Thinking ...]",
        "[Looking up Bern ...]",
        "[Found 134,000.]",
        "About 134,000 people live in Bern.",
    ]


def test_messages_in_text_out() -> None:
    printed = output_of("messages_in_text_out.py")
    assert printed.startswith("The kettle is slow.\nOutside, a leaf considers\nwhether to let go.\n\n")
    assert "tokens: {'openai/scripted': {" in printed


def test_custom_program() -> None:
    assert output_of("custom_program.py") == (
        "\n# 1 of 2: what it is\n"
        "A back-pressure is a reader's way of saying: not so fast."
        "\n# 2 of 2: why it is hard\n"
        "It is hard because every buffer on the way would rather say yes."
        "\n\nThe whole article has 24 words.\n"
    )


def test_save_when_reader_leaves() -> None:
    printed = output_of("save_when_reader_leaves.py")
    seen, _, saved = printed.partition("\n[saved, left] ")
    assert "begins" in seen and "barn" not in seen
    assert saved == f"{seen!r}\n"


def test_async_wrapper() -> None:
    lines = output_of("async_wrapper.py").splitlines()
    texts = {
        name: "".join(eval(line.removeprefix(f"{name}: ")) for line in lines if line.startswith(f"{name}: "))
        for name in ("first", "second")
    }
    script = {"Because it can be done.", "Because somebody has to begin."}
    assert set(texts.values()) == script
    assert lines[-2:] == [f"=> {texts['first']}", f"=> {texts['second']}"]


def test_caching() -> None:
    rows = re.findall(r"^ *(\d+) chunks, +[\d.]+ ms: (.*)$", output_of("caching.py"), re.MULTILINE)
    assert [answer for _, answer in rows] == ["Forty-two.", "Forty-two.", "Still forty-two."]
    asked, again, anew = (int(chunks) for chunks, _ in rows)
    assert asked > 0 and again == 0 and anew > 0


def test_agent() -> None:
    assert output_of("agent.py").splitlines() == [
        "next_thought: I need the timetable first.",
        "  [tool_start trains: {'start': 'Bern', 'to': 'Wien'}]",
        "  [tool_end trains: ['07:02', '09:32']]",
        "next_thought: The second one fits. Is it on time?",
        "  [tool_start delay: {'time': '09:32'}]",
        "  [tool_end delay: 7]",
        "next_thought: That is all I need.",
        "reasoning: The 07:02 is gone, the 09:32 is 7 minutes late.",
        "answer: Take the 09:32; it leaves at 09:39.",
        "(3 observations)",
    ]


def test_conversation() -> None:
    assert output_of("conversation.py").splitlines() == [
        "> Who wrote The Trial?",
        "Franz Kafka wrote it.",
        "> Where was he born?",
        "He was born in Prague.",
        "> And what did he ask of his friend?",
        "He asked Max Brod to burn what he had written.",
    ]


def test_typed_output() -> None:
    assert output_of("typed_output.py").splitlines() == [
        "after  4 min: Chop an onion (heat off)",
        "after 16 min: Fry it in butter until golden (heat high)",
        "after 56 min: Add water and let it simmer (heat low)",
        "3 steps",
    ]


def test_many_inputs() -> None:
    lines = output_of("many_inputs.py").splitlines()
    assert sorted(lines[:5]) == [f"{n}: {word}" for n, word in enumerate(["Bern", "Wien", "Oslo", "Rome", "Riga"])]
    merged = "".join(line.partition(": ")[2] for line in lines[5:] if line.startswith("short: "))
    assert merged == "Tea is hot leaf water."
    assert any(line.startswith("long: ") for line in lines[5:])


@contextmanager
def django_view() -> Iterator[str]:
    """The address of the example's project, served by a process of its own on a free port."""
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "django_view.py", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env=environment(),
    )
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1:"))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_django_view() -> None:
    text = "To get to the other side of the counter."
    with django_view() as address:
        with urllib.request.urlopen(f"{address}/ask?question=Why") as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            body = response.read()
        with urllib.request.urlopen(f"{address}/saved") as response:
            assert json.load(response) == [{"id": 1, "answer": text, "outcome": "completed"}]
    assert "".join(event["chunk"]["chunk"] for event in read_sse(body) if "chunk" in event) == text
    assert body.endswith(b"data: [DONE]\n\n")


@contextmanager
def served(name: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of an example that is a server, in a process of its own, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-u", EXAMPLES / name, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(),
    )
    assert process.stdout is not None
    try:
        yield (
            next(found[0] for line in process.stdout if (found := re.findall(r"http://127\.0\.0\.1:\d+", line))),
            process,
        )
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def free_port() -> int:
    """For a server that does not say which one it has taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def answer_in(body: bytes) -> str:
    """The answer, by its pieces, and what must hold of the events."""
    events = read_sse(body)
    pieces = [event["chunk"] for event in events if "chunk" in event]
    text = "".join(each["chunk"] for each in pieces if each["signature_field_name"] == "answer")
    assert len(pieces) > 1
    assert events[-1]["prediction"]["answer"] == text
    assert body.endswith(b"data: [DONE]\n\n")
    return text


CORN = "To get to the **other side of the counter**, where the corn is kept."


def test_flask_view() -> None:
    with served("flask_view.py") as (address, _), urllib.request.urlopen(f"{address}/ask?question=Why") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert answer_in(response.read()) == "To get to the other side of the counter."


def test_flask_save() -> None:
    printed = output_of("flask_save.py")
    seen, row = re.findall(r"(It is a long story.*begins.*)\n\[saved\] \| (.*)\n", printed)[0]
    question, outcome, answer = row.split(" | ")
    assert (question, outcome) == ("Why", "left")
    assert answer.startswith(seen)


def test_fastapi_view() -> None:
    port = free_port()
    with (
        served("fastapi_view.py", port) as (address, _),
        urllib.request.urlopen(f"{address}/ask?question=Why") as response,
    ):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert answer_in(response.read()) == "To get to the other side of the counter."


def test_flask_chat() -> None:
    with served("flask_chat.py") as (address, process):
        with urllib.request.urlopen(address) as page:
            assert "sha256-" in page.headers["Content-Security-Policy"]
            assert b"<title>The kitchen</title>" in page.read()
        asked = json.dumps({"question": "Why", "history": {"messages": []}}).encode()
        request = urllib.request.Request(f"{address}/ask", asked, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert answer_in(response.read()) == CORN
        assert saved(process) == f"[saved, completed] 'Why': {CORN!r}\n"


def test_django_chat_and_a_reader_who_leaves() -> None:
    port = free_port()
    with served("django_chat.py", port) as (address, process):
        with urllib.request.urlopen(address) as page:
            cookie = page.headers["Set-Cookie"].partition(";")[0]
            token = re.findall(r"X-CSRFToken&quot;: &quot;(\w+)", page.read().decode())[0]
        headers = {"Content-Type": "application/json", "X-CSRFToken": token, "Cookie": cookie}
        request = urllib.request.Request(f"{address}/ask", b'{"question": "Why"}', headers)
        with urllib.request.urlopen(request) as response:
            assert answer_in(response.read()) == CORN
        assert saved(process) == f"[saved, completed] 'Why': {CORN!r}\n"
        with urllib.request.urlopen(request) as response:
            response.readline()
        found = re.fullmatch(r"\[saved, left\] 'Why': '(.*)'\n", saved(process))
        assert found is not None
        assert CORN.startswith(found[1]) and found[1] != CORN


def saved(process: subprocess.Popen[str]) -> str:
    """The next line that tells of a saved answer."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith("[saved"))


def test_every_example_is_tested() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    by_hand = {"streamlit_app.py", "gradio_app.py"}  # what they need is large, and has servers of its own
    for path in EXAMPLES.glob("*.py"):
        if path.name != "model.py" and path.name not in by_hand:
            assert f'"{path.name}"' in tested


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
