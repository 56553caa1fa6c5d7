"""The library's types in signatures: by name, as inputs, in prompts; and types that no reply can express."""

# ruff: noqa: UP006, UP007, UP045 (both spellings of a type have to be understood)

from __future__ import annotations

import collections.abc
import json
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import check_inputs, types as room
from lmstream_sync.signatures.notes import field_note, input_note, type_note
from lmstream_sync.signatures.types import Citations, Code, Document, History, Image, Reasoning, Type

NAMES = ["Audio", "Citations", "Code", "Document", "File", "History", "Image", "Reasoning", "ToolCalls", "Type"]
PYTHON: Any = Code["python"]
ODD: Any = Code["x, y"]


class Note(Type):
    """Words for programmers."""

    text: str

    def format(self) -> str:
        return f"<note>{self.text}</note>"

    @classmethod
    def description(cls) -> str:
        return "a note on yellow paper"


class Unknown:
    """Nothing that pydantic knows."""


class Holder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    thing: Unknown


@pytest.mark.parametrize("prefix", ["", "lms.", "dspy.", "lmstream_sync."])
@pytest.mark.parametrize("name", NAMES)
def test_the_types_are_known_by_name(prefix: str, name: str) -> None:
    assert lms.Signature(f"x: list[{prefix}{name}] -> y").fields["x"].annotation == list[getattr(room, name)]


def test_a_language_in_a_string() -> None:
    fields = lms.Signature("a: Code['c++'], b: dict[str, lms.Code[\"x, y\"]] -> c: Optional[Code['python']]").fields
    assert fields["a"].annotation is Code["c++"]
    assert fields["b"].annotation == dict[str, ODD]
    assert fields["c"].annotation == Optional[PYTHON]
    for wrong in ("a -> b: Code[3]", "a -> b: Code['']", "a -> b: Image['png']"):
        with pytest.raises(lms.SignatureError, match="takes no such"):
            lms.Signature(wrong)


def test_a_class_of_the_calling_code_wins_by_its_bare_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class File(pydantic.BaseModel):
        name: str

    fields = lms.Signature("a: File, b: lms.File -> c: Citations").fields
    assert (fields["a"].annotation, fields["b"].annotation) == (File, room.File)
    assert fields["c"].annotation is Citations

    monkeypatch.setitem(globals(), "Image", sys)  # a module of that name is no type
    assert lms.Signature("a: Image -> b").fields["a"].annotation is room.Image


def test_pydantic_comes_with_the_first_type_that_is_named() -> None:
    code = (
        "import json, sys, lmstream_sync as lms\n"
        "seen = []\n"
        "lms.ChatAdapter().format(lms.Signature('q, image: list[str] -> a'), [], {'q': 'x', 'image': ['y']})\n"
        "seen.append('pydantic' in sys.modules)\n"
        "lms.Signature('image: dspy.Image -> a')\n"
        "seen.append('lmstream_sync.signatures.types' in sys.modules)\n"
        "assert 'lmstream_sync.program' not in sys.modules\n"
        "assert lms.Signature('tools: list[dspy.Tool], t: Tool -> a').fields['t'].annotation is lms.Tool\n"
        "print(json.dumps(seen))\n"
    )
    root = Path(lms.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, cwd=root)
    assert (done.stderr, json.loads(done.stdout)) == ("", [False, True])


def test_what_stands_for_a_type_becomes_one_as_an_input() -> None:
    signature = lms.Signature(
        "image: Image, sources: list[Document], code: Code['sql'] | None, note: str | Image, at: dict[str, Image] -> a"
    )
    url = "https://example.org/cat.png"
    made = check_inputs(
        signature, {"image": url, "sources": ["one"], "code": "select", "note": url, "at": {"x": {"url": url}}}
    )
    assert made == {
        "image": Image(url),
        "sources": [Document("one")],
        "code": Code["sql"]("select"),
        "note": url,
        "at": {"x": Image(url)},
    }
    with pytest.raises(lms.SignatureError, match=r"the input 'sources' is no list\[Document\]: 1: .*not a int"):
        check_inputs(signature, {"image": url, "sources": ["one", 2], "note": "", "at": {}})


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (Unknown, "Unknown"),
        (list[Unknown], "Unknown"),
        (dict[str, Optional[Unknown]], "Unknown"),
        (threading.Event, "Event"),
        (type, "type"),
        (type[int], "type"),
        (typing.Type[int], "type"),
        (typing.Callable[[int], str], "Callable"),
        (collections.abc.Callable, "Callable"),
        (Optional[collections.abc.Callable[..., int]], "Callable"),
        (Image, "Image"),
        (list[Image], "Image"),
        (Union[str, Annotated[History, "x"]], "History"),
        (tuple[room.Audio, room.File, Document], "Audio"),
    ],
    ids=str,
)
def test_a_type_that_no_reply_can_express_is_an_error_when_the_signature_is_made(annotation: Any, named: str) -> None:
    with pytest.raises(lms.SignatureError, match=f"the output field 'b' cannot be of the type .*{named}"):
        lms.Signature({"a": lms.InputField(), "b": (annotation, lms.OutputField())})
    signature = lms.Signature({"a": (annotation, lms.InputField()), "b": lms.OutputField()})
    assert signature.fields["a"].annotation == annotation
    with pytest.raises(lms.SignatureError, match="'b'"):
        signature.with_updated_fields("b", annotation)
    with pytest.raises(lms.SignatureError, match="'c'"):
        signature.append("c", lms.OutputField(), annotation)


def test_the_same_in_a_class_and_in_a_predictor() -> None:
    with pytest.raises(lms.SignatureError, match="'thing'"):

        class Wrong(lms.Signature):
            thing: Unknown = lms.OutputField()

    with pytest.raises(lms.SignatureError, match="'b'"):
        lms.Predict("a -> b: list[Image]")

    class Shown(lms.Signature):
        thing: Unknown = lms.InputField()
        answer: str = lms.OutputField()

    assert list(check_inputs(Shown, {"thing": Unknown()})) == ["thing"]


@pytest.mark.parametrize(
    ("annotation", "constraint"),
    [(int, {"pattern": "x"}), (Optional[str], {"ge": 3}), (float, {"max_length": 3}), (str, {"pattern": "("})],
    ids=str,
)
def test_a_constraint_that_does_not_go_with_its_type_says_so(annotation: Any, constraint: dict[str, Any]) -> None:
    with pytest.raises(lms.SignatureError, match="the output field 'b' has a type that does not work: ") as caught:
        lms.Signature({"a": lms.InputField(), "b": (annotation, lms.OutputField(**constraint))})
    assert "\n" not in str(caught.value)


class LaterModel(pydantic.BaseModel):
    inner: Optional[Below] = None


class Later(lms.Signature):
    a: str = lms.InputField()
    b: LaterModel = lms.OutputField()
    c: list[Below] = lms.OutputField()


class Below(pydantic.BaseModel):
    n: int


def test_names_that_stand_further_down_are_read_when_they_exist() -> None:
    from lmstream_sync.signatures import parse_value

    assert parse_value(Later.fields["b"], '{"inner": {"n": "3"}}') == LaterModel(inner=Below(n=3))
    assert parse_value(Later.fields["c"], '[{"n": 3}]') == [Below(n=3)]
    assert '"n"' in field_note(Later.fields["b"])


def test_notes_tell_what_a_type_says_of_itself() -> None:
    assert type_note(Note) == "a note on yellow paper"
    assert "a note on yellow paper" in type_note(list[Note]) and "programmers" not in type_note(list[Note])
    assert type_note(Optional[Note]) == "a note on yellow paper; or null where there is none"
    field = lms.Signature({"x": (dict[str, list[Note]], lms.InputField()), "y": lms.OutputField()}).fields["x"]
    assert input_note(field) == "a note on yellow paper"
    assert input_note(lms.Signature("x: Image -> y").fields["x"]) == ""
    assert type_note(Reasoning) == ""

    class Card(pydantic.BaseModel):
        title: str

        def description(self) -> str:
            return self.title

    assert '"title"' in type_note(Card)


def test_holding_what_pydantic_knows_nothing_of() -> None:
    """pydantic's own switch says that such a thing can be there; then that is the author's business."""
    assert lms.Signature({"a": lms.InputField(), "b": (Holder, lms.OutputField())}).fields["b"].annotation is Holder
