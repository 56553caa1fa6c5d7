"""`Code` and `Reasoning`: types that are texts."""

from __future__ import annotations

import copy
import pickle
import random
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import format_value, parse_value
from lmstream_sync.signatures.decoded import fit_value
from lmstream_sync.signatures.notes import type_name, type_note
from lmstream_sync.signatures.types import Code, Reasoning

PYTHON: Any = Code["python"]
JAVA: Any = Code["java"]
DOCTEST = "def f():\n    '''\n    ```\n    f()\n    ```\n    '''"
MODULE = '"""Doc.\n```\nf()\n```\n"""\nx = 1'
SHOWN = ["x = 1", "", "\n", "  a\n\n b  ", "```", "a ````` b", "x\n```python\ny\n```", "\r\n", "~~~"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```py\r\nx = 1\r\n```", "x = 1"),
        ("```python\n\n  x = 1\n\n```", "\n  x = 1\n"),
        ("Here it is:\n\n```python\nx = 1\n```\n\nIt sets x.", "x = 1"),
        ("```python\nx = 1\n```\nor\n```python\nx = 2\n```", "x = 1"),
        ("~~~\nx = 1\n~~~", "x = 1"),
        ("````python\na = '''\n```\nb\n```\n'''\n````", "a = '''\n```\nb\n```\n'''"),
        (f"```python\n{DOCTEST}\n```", DOCTEST),
        ("```markdown\n# T\n```python\nx\n```\nend\n```", "# T\n```python\nx\n```\nend"),
        ("```python\nx = 1", "x = 1"),
        ("```x = 1```", "x = 1"),
        ("```python\n```", ""),
        ("```", ""),
        ("", ""),
        ('{"code": "x = 1"}', "x = 1"),
        ('{"code": "```python\\nx = 1\\n```", "language": "python"}', "x = 1"),
        ('{"a": 1}', '{"a": 1}'),
        ("print(`x`)", "print(`x`)"),
        (MODULE, MODULE),
        ("/* see\n```\nx\n```\n*/\nint x;", "/* see\n```\nx\n```\n*/\nint x;"),
        ("```   python  \nx = 1\n```  ", "x = 1"),
    ],
)  # fmt: skip
def test_code_is_read_from(text: str, code: str) -> None:
    assert Code["python"](text).code == code
    assert parse_value(Code["python"], text).code == code
    assert parse_value(Code | None, text or "```\n```").code == code
    assert pydantic.TypeAdapter(list[PYTHON]).validate_python([text])[0].code == code


@pytest.mark.parametrize(
    "code", ["x = 1", "", "\n", "  a\n\n b  ", "```", "a ````` b", "x\n```python\ny\n```", "\r\n", "~~~"]
)
@pytest.mark.parametrize("language", ["python", "C++", "markdown", "json"])
def test_code_that_was_shown_reads_back_the_same(code: str, language: str) -> None:
    kind = Code[language]  # type: ignore[valid-type]
    shown = format_value(None, kind.model_construct(code=code))
    assert shown.split("\n", 1)[0].strip("`") == language.lower()
    assert parse_value(kind, shown).code == code
    assert parse_value(kind, shown.strip()).code == code


def test_any_code_that_was_shown_reads_back_the_same() -> None:
    pieces = ["`", "```", "````", "~~~", "\n", "\r\n", " ", "a", "python", '"""', "/*", "{"]
    dice = random.Random(3)
    for _ in range(3000):
        code = "".join(dice.choices(pieces, k=dice.randrange(12)))
        shown = PYTHON.model_construct(code=code).format()
        assert parse_value(PYTHON, shown).code == code, repr(code)


def test_code_knows_its_language() -> None:
    assert Code["python"] is Code["python"] and Code["python"] is not Code["java"]
    assert (Code.language, Code["java"].language) == ("python", "java")
    assert type_name(list[JAVA]) == "list[Code['java']]"
    assert "```java" in type_note(Code["java"])
    assert Code("x") == "x" and str(Code("x")) == "x" and Code["java"]("x") != Code("x")
    for wrong in (3, "", None):
        with pytest.raises(TypeError, match="python"):
            Code[wrong]  # type: ignore[misc]
    for nothing in (lambda: Code(3), lambda: Code(), lambda: Code({"cod": "x"})):
        with pytest.raises(lms.SignatureError, match="code"):
            nothing()


@pytest.mark.parametrize("made", [Code("x = 1"), Code["c++"]("x = 1"), Reasoning("Well.")], ids=repr)
def test_texts_survive_pickle_copy_and_json(made: Any) -> None:
    for again in (
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
        type(made).model_validate_json(made.model_dump_json()),
        type(made).model_validate(made.model_dump()),
    ):
        assert again == made and type(again) is type(made) and hash(again) == hash(made)
    assert lms.Prediction(x=[made]).toDict() == {"x": [str(made)]}
    assert pickle.loads(pickle.dumps(type(made))) is type(made)


def test_a_signature_with_code_survives_pickle() -> None:
    signature = lms.Signature("a: Code['c++'] -> b: lms.Code['c++'], c: dspy.Code")
    assert pickle.loads(pickle.dumps(signature)).equals(signature)
    assert signature.fields["a"].annotation is signature.fields["b"].annotation is Code["c++"]


def test_reasoning_behaves_like_its_text() -> None:
    text = "First a,\nthen b. "
    made = Reasoning(text)
    assert made == text == made.content == str(made) and text == made and made == Reasoning(content=text)
    assert made != "other" and made != 3
    assert len(made) == len(text) and "then" in made and made[:5] == "First" and list(made) == list(text)
    assert (made + "!", "!" + made, made + made) == (text + "!", "!" + text, text + text)
    assert f"{made}|{made:>20}" == f"{text}|{text:>20}"
    assert made.strip().upper() == text.strip().upper() and made.splitlines() == text.splitlines()
    assert made < "G" and made <= text and made > "A" and made >= Reasoning("A")
    assert {text: 1}[made] == 1  # type: ignore[index]
    assert not Reasoning() and Reasoning() == ""
    assert repr(made) == repr(text)
    with pytest.raises(AttributeError, match="sentiment"):
        _ = made.sentiment
    for wrong in (lambda: made + 3, lambda: 3 + made):  # type: ignore[operator]
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(lms.SignatureError, match="text"):
        Reasoning(3)


@pytest.mark.parametrize("text", [" as it is \n", '{"content": "x"}', '"quoted"', "[1]", "null", ""])
def test_reasoning_as_an_ordinary_field_is_its_text_exactly(text: str) -> None:
    assert parse_value(Reasoning, text).content == text
    assert type_note(Reasoning) == ""
    assert format_value(None, Reasoning(text)) == text


def test_reasoning_of_a_model() -> None:
    def piece(**delta: Any) -> Any:
        return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(**delta))])

    assert Reasoning.is_streamable()
    assert Reasoning.parse_stream_chunk(piece(reasoning_content=" so")) == " so"
    for nothing in (piece(), piece(reasoning_content=None), piece(reasoning_content=""), SimpleNamespace(choices=[])):
        assert Reasoning.parse_stream_chunk(nothing) is None
    assert Reasoning.parse_lm_response({"text": "x", "reasoning_content": "so"}) == "so"
    assert Reasoning.parse_lm_response({"text": "x"}) is None and Reasoning.parse_lm_response("x") is None


@pytest.mark.parametrize(
    "text",
    ["```" + " " * 200_000 + "`", "`" * 200_000, "```\n" * 50_000, "```a\n" * 50_000, "~~~\n```\n" * 30_000],
    ids=["blanks", "ticks", "fences", "openings", "both"],
)
def test_a_long_text_of_fences_is_read_in_time_linear_in_it(text: str) -> None:
    """Replies are read on the event loop. A square of these lengths would not end within the test's time."""
    assert len(Code(text).code) <= len(text)


@pytest.mark.parametrize(
    ("annotation", "decoded", "value"),
    [
        (Code["sql"], "```sql\nselect 1\n```", Code["sql"]("select 1")),
        (Code | None, {"code": "x"}, Code("x")),
        (Code | None, None, None),
        (list[PYTHON], ["x", "```\ny\n```"], [PYTHON("x"), PYTHON("y")]),
        (Reasoning, ' "quoted" ', Reasoning(' "quoted" ')),
        (Reasoning, {"content": "x"}, Reasoning("x")),
        (dict[str, Reasoning], {"a": "b"}, {"a": Reasoning("b")}),
    ],
    ids=str,
)
def test_what_json_decodes_to_is_taken_too(annotation: Any, decoded: Any, value: Any) -> None:
    assert fit_value(annotation, decoded) == value


def test_a_history_says_what_is_wrong_with_what_it_is_given() -> None:
    with pytest.raises(lms.SignatureError, match="by name"):
        lms.History().add("hi")  # type: ignore[arg-type]
    with pytest.raises(lms.SignatureError, match="whole number"):
        lms.History().last("x")  # type: ignore[arg-type]
    with pytest.raises(lms.SignatureError, match="no content"):
        lms.History([{"role": "user"}])
