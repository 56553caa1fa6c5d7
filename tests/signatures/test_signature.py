"""What a signature says, written as a string or as a class."""

# ruff: noqa: UP006, UP007, UP045 (both spellings of a union have to be understood)

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import MISSING, check_inputs, ensure_signature


class Color(enum.Enum):
    RED = "red"


class QA(lms.Signature):
    """Answer in
    one sentence."""

    question: str = lms.InputField()
    context: list[str] = lms.InputField(desc="what is known", default_factory=list)
    answer: str = lms.OutputField(desc="short", max_length=80)
    score: float = lms.OutputField(ge=0, le=1, default=0.5)


class Later(lms.Signature):
    tree: list[StandsBelow] = lms.OutputField()


@dataclasses.dataclass
class StandsBelow:
    name: str


def annotations(spec: Any, **options: Any) -> dict[str, Any]:
    return {name: field.annotation for name, field in lms.Signature(spec, **options).fields.items()}


def test_a_string_gives_fields_in_order_and_text_where_no_type_is_named() -> None:
    signature = lms.Signature("question, context: list[str] -> answer: str, score: float")
    assert list(signature.input_fields) == ["question", "context"]
    assert list(signature.output_fields) == ["answer", "score"]
    assert annotations(signature) == {"question": str, "context": list[str], "answer": str, "score": float}
    assert signature.signature == "question, context -> answer, score"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("int", int),
        ("None", None),
        ("dict[str, list[int]]", dict[str, list[int]]),
        ("List[Dict[str, Any]]", "typing"),
        ("Optional[int]", Optional[int]),
        ("typing.Optional[int]", Optional[int]),
        ("int | None", Optional[int]),
        ("Union[int, str]", Union[int, str]),
        ("int | str | None", Union[int, str, None]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("Literal['a', \"b, c -> d\", 3, -1, True]", Literal["a", "b, c -> d", 3, -1, True]),
        ('Literal["x: y", "[", ")"]', Literal["x: y", "[", ")"]),
        ("Any", Any),
        ("datetime.date", datetime.date),
        ("datetime", datetime.datetime),
        ("list['int']", list[int]),
    ],
)
def test_types_in_strings(written: str, meant: Any) -> None:
    import typing

    expected = typing.List[typing.Dict[str, Any]] if meant == "typing" else meant
    assert annotations(f"a -> x: {written}, y")["x"] == expected


def test_names_that_the_caller_sees_and_names_that_are_given() -> None:
    class Local:
        pass

    assert annotations("a: Color, b: list[Local] -> c") == {"a": Color, "b": list[Local], "c": str}
    assert annotations("a -> b: enum.Enum")["b"] is enum.Enum
    assert annotations("a -> b: Foo, c: str", custom_types={"Foo": int, "str": bytes}) == {
        "a": str,
        "b": int,
        "c": bytes,
    }


@pytest.mark.parametrize(
    ("spec", "place", "reason"),
    [
        ("question, answer", 16, "needs '->'"),
        ("a -> b -> c", 7, "second '->'"),
        ("a ->", 4, "no output fields"),
        ("a, , b -> c", 2, "missing"),
        ("a -> b,", 7, "missing"),
        ("a: -> b", 2, "type of 'a' is missing"),
        ("1a -> b", 0, "no field name"),
        ("a, class -> b", 3, "no field name"),
        ("a, _b -> c", 3, "underscore"),
        ("a, b -> c, a", 11, "twice"),
        ("a -> b: list[int", 12, "never closed"),
        ("a -> b: int]", 11, "closes nothing"),
        ("a -> b: Literal['x]", 16, "quote"),
        ("a -> b: dict[str, Strange]", 18, "unknown type 'Strange'"),
        ("ä, é -> ü: dict[é.ö, Strange]", 16, "unknown type 'é.ö'"),
        ("ä, é -> ü: Union[Literal['ö'], Strange]", 31, "unknown type 'Strange'"),
        ("a -> b: int[str]", 8, "takes no such types"),
        ("a -> b: 3", 8, "no type"),
        ("a -> b: int str", 12, "no type"),
        ("a -> b: __import__('os').system('x')", 8, "no type"),
        ("a -> b: Literal[print('x')]", 16, "Literal takes"),
    ],
)
def test_a_bad_string_is_shown_with_a_caret_under_the_place(spec: str, place: int, reason: str) -> None:
    with pytest.raises(lms.SignatureError, match=reason) as caught:
        lms.Signature(spec)
    shown, caret = str(caught.value).split("\n")[-2:]
    assert caret.index("^") - 2 == place
    assert shown.strip() == spec.strip()


def test_nothing_in_a_string_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    for spec in ("a -> b: print('x')", "a -> b: list[print('x')]", "a -> b: (lambda: print('x'))()"):
        with pytest.raises(lms.SignatureError):
            lms.Signature(spec)
    assert capsys.readouterr().out == ""


def test_a_class_gives_the_same_kind_of_thing() -> None:
    assert QA.signature == "question, context -> answer, score"
    assert QA.instructions == "Answer in\none sentence."
    assert QA.fields["answer"].desc == "short"
    assert QA.fields["answer"].constraints == {"max_length": 80}
    assert QA.fields["score"].default == 0.5
    assert QA.fields["question"].default is MISSING
    assert annotations(QA)["context"] == list[str]
    assert isinstance(lms.Signature("a -> b"), type)
    assert issubclass(lms.Signature("a -> b"), lms.Signature)  # type: ignore[arg-type]


def test_a_type_may_stand_further_down() -> None:
    assert Later.fields["tree"].annotation == list[StandsBelow]


def test_a_class_inherits_and_adds() -> None:
    class More(QA):
        answer: int = lms.OutputField()
        hint = lms.InputField()

    assert list(More.fields) == ["question", "context", "hint", "answer", "score"]
    assert (More.fields["answer"].annotation, More.fields["hint"].annotation) == (int, str)
    assert More.instructions == QA.instructions
    assert QA.fields["answer"].annotation is str


def test_fields_may_bear_any_name() -> None:
    class Odd(lms.Signature):
        fields: str = lms.InputField()
        append: str = lms.InputField()
        instructions: str = lms.OutputField()

    assert list(Odd.append("x", lms.OutputField()).fields) == ["fields", "append", "instructions", "x"]


def test_instructions_are_made_of_the_fields_where_none_were_given() -> None:
    signature = lms.Signature("question -> answer")
    assert "`question`" in signature.instructions and "`answer`" in signature.instructions
    assert "`why`" in signature.prepend("why", lms.OutputField()).instructions
    assert lms.Signature("question -> answer", "Be brief.").instructions == "Be brief."


def test_a_field_must_say_what_it_is() -> None:
    with pytest.raises(lms.SignatureError, match="InputField"):
        type(lms.Signature)("Bad", (lms.Signature,), {"__annotations__": {"x": str}})
    with pytest.raises(lms.SignatureError, match="InputField"):
        type(lms.Signature)("Bad", (lms.Signature,), {"__annotations__": {"x": str}, "x": "text"})
    with pytest.raises(lms.SignatureError, match="max_len"):
        lms.OutputField(max_len=3)


def test_a_signature_class_is_not_called() -> None:
    with pytest.raises(lms.SignatureError, match=r"lms\.Predict\(QA\)"):
        QA(question="x")  # type: ignore[call-arg]


@pytest.mark.parametrize("nonsense", [3, None, ["a"], object()])
def test_what_is_no_signature_says_so(nonsense: Any) -> None:
    for make in (lms.Signature, ensure_signature):
        with pytest.raises(lms.SignatureError, match="question -> answer"):
            make(nonsense)


def test_changes_give_a_new_signature() -> None:
    changed = (
        QA.prepend("reasoning", lms.OutputField(desc="why"))
        .append("tone", lms.InputField(), str)
        .insert(1, "place", lms.InputField())
        .delete("context")
        .with_updated_fields("answer", list[str], desc="all of them")
        .with_instructions("Do it.")
    )
    assert changed.signature == "question, place, tone -> reasoning, answer, score"
    assert changed.fields["answer"].annotation == list[str]
    assert (changed.fields["answer"].desc, changed.instructions) == ("all of them", "Do it.")
    assert QA.signature == "question, context -> answer, score"
    assert changed.append_instructions("Well.").instructions == "Do it.\n\nWell."
    for wrong in (lambda: QA.insert(9, "x", lms.InputField()), lambda: QA.with_updated_fields("nothing")):
        with pytest.raises(lms.SignatureError):
            wrong()


def test_a_dict_and_another_signature_make_one_too() -> None:
    made = lms.Signature({"a": lms.InputField(), "b": (int, lms.OutputField())}, "Count.")
    assert annotations(made) == {"a": str, "b": int}
    assert lms.Signature(made).equals(made)
    assert lms.Signature(made, "Other.").instructions == "Other."
    assert ensure_signature(QA) is QA
    assert ensure_signature("a -> b").equals(lms.Signature("a -> b"))


def test_equal_means_the_same_fields_and_instructions() -> None:
    assert lms.Signature("a -> b: int").equals(lms.Signature("a: str -> b: int"))
    assert not lms.Signature("a -> b: int").equals(lms.Signature("a -> b"))
    assert not lms.Signature("a -> b").equals(lms.Signature("a -> b", "x"))
    assert not lms.Signature("a -> b").equals("a -> b")


@pytest.mark.parametrize("signature", [QA, lms.Signature("a: list[int] -> b: Literal['x']", "Do.")], ids=str)
def test_signatures_survive_pickle_and_copy(signature: Any) -> None:
    assert pickle.loads(pickle.dumps(signature)).equals(signature)
    assert copy.deepcopy(signature).equals(signature)


def test_inputs_are_checked_and_defaults_filled_in() -> None:
    assert check_inputs(QA, {"question": "why"}) == {"question": "why", "context": []}
    assert check_inputs(lms.Signature("a, b: int | None -> c"), {"a": None}) == {"a": None, "b": None}
    with pytest.raises(lms.SignatureError, match=r"missing: question; unknown: qestion, x .*question=, context="):
        check_inputs(QA, {"qestion": "why", "x": 1})


def test_a_signature_of_plain_text_needs_no_pydantic() -> None:
    code = (
        "import json, sys, lmstream_sync as lms\n"
        "class QA(lms.Signature):\n    question: str = lms.InputField()\n    answer: str = lms.OutputField()\n"
        "reader = lms.ChatAdapter()\n"
        "for s in (QA, lms.Signature('question, n: int -> answer, b')):\n"
        "    reader.format(s, [], {'question': 'x', 'n': [{'a': 1}]})\n"
        "reader.parse(QA, '[[ ## answer ## ]] x')\n"
        "print(json.dumps([name for name in ('pydantic', 'json_repair') if name in sys.modules]))\n"
    )
    root = Path(lms.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, cwd=root)
    assert (done.stderr, json.loads(done.stdout)) == ("", [])
