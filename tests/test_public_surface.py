"""The public names: all there, each with its docstring, and light to import."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lmstream_sync as lms

RUNNING = (
    "streamify stream iterate merge run_many asyncify syncify warm_up cancel emit aemit configure context settings "
    "Stream AsyncStream Timeout"
)
EVENTS = "StreamListener StreamResponse StreamRestart StatusMessage StatusMessageProvider streaming_response"
MODELS = "LM LMRequestLRUCache"
PROGRAMS = (
    "Signature InputField OutputField Predict ChainOfThought Module Tool Prediction Example ChatAdapter Adapter "
    "BaseCallback JSONAdapter XMLAdapter ReAct BestOfN Refine Parallel"
)
TYPES = "Type Image Audio File Document History Code Reasoning Citation Citations ToolCall ToolCalls"
ERRORS = (
    "LMStreamError ConfigurationError SignatureError ListenerError LMError AuthenticationError BadRequestError "
    "ContextWindowExceededError RateLimitError ServerError LMConnectionError LMProtocolError LMInterrupted "
    "AdapterParseError ToolError StreamError StreamClosed StreamCancelled StreamRestarted StreamTimeout StreamForked "
    "LoopDied Busy"
)
NAMES = f"{RUNNING} {EVENTS} {MODELS} {PROGRAMS} {TYPES} {ERRORS}".split()


def in_a_fresh_interpreter(code: str) -> Any:
    """What `code` prints as JSON, run by a Python that has imported nothing of ours yet."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, cwd=Path(lms.__file__).parent.parent
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_names_are_these_and_no_others() -> None:
    assert sorted(lms.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(lms, name)
    assert not isinstance(value, ModuleType)
    assert inspect.getdoc(value), f"{name} has no docstring"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_class_offers_is_documented(name: str) -> None:
    value = getattr(lms, name)
    if not inspect.isclass(value):
        return
    undocumented = [
        attribute
        for attribute, found in vars(value).items()
        if not attribute.startswith("_")
        and (inspect.isfunction(found) or isinstance(found, (property, classmethod, staticmethod)))
        and not inspect.getdoc(getattr(value, attribute))
    ]
    assert undocumented == []


def test_type_checkers_are_told_the_same() -> None:
    """The block for type checkers names what `__getattr__` finds, from the same place."""
    tree = ast.parse(Path(lms.__file__).read_text(encoding="utf-8"))
    told = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmstream_sync")
        for alias in node.names
    }
    homes = {name: f"lmstream_sync.{home}.{name}" for name, home in lms._HOME_OF.items()}
    rooms = {name: f"lmstream_sync.{name}" for name in lms._ROOMS}
    assert told == homes | rooms


def test_the_way_in_names_files_that_exist() -> None:
    """The package's docstring follows a chunk through the files; each must be there."""
    named = re.findall(r"`([a-z_/]+\.py)`", lms.__doc__ or "")
    assert len(named) > 15
    assert [path for path in named if not (Path(lms.__file__).parent / path).is_file()] == []


def test_names_show_in_dir_and_star_import() -> None:
    assert set(NAMES) <= set(dir(lms))
    namespace: dict[str, Any] = {}
    exec("from lmstream_sync import *", namespace)
    assert set(NAMES) <= namespace.keys()


def test_the_rooms_are_attributes() -> None:
    """`dspy.streaming.StreamListener` and `dspy.adapters.ChatAdapter` are found at the same place."""
    streaming = "StatusMessage StatusMessageProvider StreamListener StreamResponse streamify streaming_response"
    for name in streaming.split():
        assert getattr(lms.streaming, name) is getattr(lms, name)
    for name in ("Adapter", "ChatAdapter"):
        assert getattr(lms.adapters, name) is getattr(lms, name)


def test_the_object_settings_is_not_the_module() -> None:
    assert in_a_fresh_interpreter(
        "import json, lmstream_sync as lms\n"
        "import lmstream_sync.settings, lmstream_sync.callbacks\n"
        "lms.settings.configure(answer=42)\n"
        "with lms.settings.context(other=1): print(json.dumps([lms.settings.answer, lms.settings.other]))"
    ) == [42, 1]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = lms.nothing_of_this_name  # type: ignore[attr-defined]


#: What `import lmstream_sync`, and a program that has not called a model yet, must not load (law 11).
HEAVY = "litellm openai aiohttp httpx pydantic tiktoken tokenizers flask django redis celery dspy rich json_repair"


def test_import_is_light() -> None:
    loaded = in_a_fresh_interpreter(
        f"import json, sys, lmstream_sync\nprint(json.dumps(sorted(set({HEAVY!r}.split()) & set(sys.modules))))"
    )
    assert loaded == []


def test_setting_up_a_program_is_light() -> None:
    """A program of plain string signatures is set up without the libraries that its first call needs."""
    loaded = in_a_fresh_interpreter(
        "import json, sys, lmstream_sync as lms\n"
        "lms.configure(lm=lms.LM('openai/gpt-4o-mini', api_key='sk-test'))\n"
        "lms.streamify(lms.ChainOfThought('question -> answer'), stream_listeners=[lms.StreamListener('answer')])\n"
        f"print(json.dumps(sorted(set({HEAVY!r}.split()) & set(sys.modules))))"
    )
    assert loaded == []


def test_import_starts_no_thread() -> None:
    assert (
        in_a_fresh_interpreter(
            "import json, threading, lmstream_sync as lms\n"
            "[getattr(lms, name) for name in lms.__all__]\n"
            "print(json.dumps(threading.active_count()))"
        )
        == 1
    )


def test_errors_have_one_root() -> None:
    for name in ERRORS.split():
        assert issubclass(getattr(lms, name), lms.LMStreamError)
    for name in ("SignatureError", "ListenerError"):
        assert issubclass(getattr(lms, name), ValueError)
    assert issubclass(lms.StreamTimeout, TimeoutError)
