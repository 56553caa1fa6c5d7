"""The fixture `scripted_lm`: a model in use for one test, over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply, ScriptedLM

ROOT = Path(lms.__file__).resolve().parent.parent


def test_fields_are_written_as_the_adapter_reads_them(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply(answer="42", score=0.5, tags=["a", "b"])
    found = lms.Predict("question -> answer, score: float, tags: list[str]")(question="six times seven")
    assert (found.answer, found.score, found.tags) == ("42", 0.5, ["a", "b"])
    assert "six times seven" in scripted_lm.calls[0].prompt


class Shouting(lms.ChatAdapter):
    """Writes what it is given in capitals."""

    def render(self, signature: Any, values: Mapping[str, Any]) -> str:
        return super().render(signature, {name: str(value).upper() for name, value in values.items()})


def test_the_adapter_is_the_one_in_force_where_the_model_is_asked(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply(answer="yes")
    with lms.context(adapter=Shouting()):
        assert lms.Predict("q -> answer")(q="?").answer == "YES"
    assert lms.Predict("q -> answer")(q="?").answer == "yes"


def test_a_program_streams_it(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply(answer="one two three")
    listener = lms.StreamListener("answer")
    events = list(lms.streamify(lms.Predict("q -> answer"), stream_listeners=[listener])(q="?"))
    assert [event.chunk for event in events[:3]] == ["one", " two", " three"]
    assert events[-1].answer == "one two three"


def test_answers_come_in_order_and_the_last_repeats(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply("raw text")
    scripted_lm.reply(Reply("cut", cut=1))
    assert [scripted_lm.lm("?")[0] for _ in range(3)] == ["raw text", "cut", "cut"]
    assert len(scripted_lm.calls) == 3


def test_a_failure_reaches_the_program_at_once(scripted_lm: ScriptedLM) -> None:
    scripted_lm.fail(429, retry_after=7, message="slow down")
    scripted_lm.reply(answer="yes")
    with pytest.raises(lms.RateLimitError, match="slow down") as raised:
        lms.Predict("q -> answer")(q="?")
    assert (raised.value.status_code, raised.value.retry_after) == (429, 7)
    assert lms.Predict("q -> answer")(q="?").answer == "yes"
    assert len(scripted_lm.calls) == 2


def test_a_pause_holds_the_first_piece_back(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply(answer="yes")
    scripted_lm.pause(60)
    stream = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])(q="?")
    scripted_lm.server.wait_for_request()
    with pytest.raises(lms.StreamTimeout):
        stream.peek(timeout=0.05)
    stream.close()
    scripted_lm.server.wait_for_reader_left()
    scripted_lm.pause(0)
    assert lms.Predict("q -> answer")(q="?").answer == "yes"


def test_asked_before_anything_was_said_it_says_so(scripted_lm: ScriptedLM) -> None:
    with pytest.raises(lms.BadRequestError, match=r"scripted_lm\.reply"):
        lms.Predict("q -> answer")(q="?")


@pytest.mark.parametrize("fields", [{}, {"answer": "yes"}])
def test_either_a_text_or_fields(scripted_lm: ScriptedLM, fields: dict[str, str]) -> None:
    with pytest.raises(lms.ConfigurationError, match="either"):
        scripted_lm.reply(*(["text"] if fields else []), **fields)


def test_it_is_the_model_of_other_threads_and_wins_over_what_the_program_configures(scripted_lm: ScriptedLM) -> None:
    scripted_lm.reply("hello")
    said: list[Any] = []
    thread = threading.Thread(target=lambda: said.append(lms.settings.lm))
    thread.start()
    thread.join()
    lms.configure(lm=lms.LM("openai/gpt-4o-mini"))
    assert lms.settings.lm is scripted_lm.lm is said[0]


TEST_FILE = """
import lmstream_sync as lms

def test_one(scripted_lm):
    scripted_lm.reply(answer="42")
    assert lms.Predict("question -> answer")(question="six times seven").answer == "42"

def test_after():
    assert lms.settings.lm is None
"""


def test_pytest_finds_the_fixture_in_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST_FILE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    if all(each.value != "lmstream_sync.testing.plugin" for each in entry_points(group="pytest11")):
        # The package is not installed here.
        command += ["-p", "lmstream_sync.testing.plugin"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
        env={**_environment(), "PYTHONPATH": str(ROOT)},
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


def test_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmstream_sync.testing.plugin\n"
        "heavy = 'litellm aiohttp pydantic lmstream_sync.streaming lmstream_sync.lm'.split()\n"
        "sys.exit(str([name for name in heavy if name in sys.modules]) if set(heavy) & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 0, done.stderr
