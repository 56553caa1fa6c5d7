"""Content parts: images and their like in a prompt, in their place between the text."""

from __future__ import annotations

import json
import threading
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.adapters.content import collecting_parts, documents_as_text
from lmstream_sync.signatures.types import Audio, Code, Document, File, History, Image, Type
from lmstream_sync.signatures.values import format_value, text_of

CAT, DOG = Image("https://example.org/cat.png"), Image("https://example.org/dog.png")


def part(image: Image) -> dict[str, Any]:
    return image.format()[0]


def text(it: str) -> dict[str, Any]:
    return {"type": "text", "text": it}


class Card(pydantic.BaseModel):
    title: str
    picture: Image


class Captioned(Type):
    """A type of a user: text and a picture."""

    caption: str
    url: str

    def format(self) -> list[dict[str, Any]]:
        return [text(f"({self.caption}) "), part(Image(self.url))]


class Dumped(Type):
    """A type whose form is made of its own dump."""

    n: int

    def format(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.model_dump().items())


class Plain(Type):
    n: int


def content(*values: Any) -> Any:
    with collecting_parts() as parts:
        whole = "|".join(value if isinstance(value, str) else text_of(value) for value in values)
    return parts.split(whole)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], "a|b"),
        ([CAT], [part(CAT)]),
        (["a\n", CAT, "\nb"], [text("a\n|"), part(CAT), text("|\nb")]),
        ([CAT, DOG], [part(CAT), text("|"), part(DOG)]),
        ([[CAT, DOG]], [text("["), part(CAT), text(", "), part(DOG), text("]")]),
        ([{"x": CAT, "y": "«»"}], [text('{"x": '), part(CAT), text(', "y": "«»"}')]),
        ([Card(title="T", picture=CAT)], [text('{"title": "T", "picture": '), part(CAT), text("}")]),
        ([[Card(title="T", picture=CAT)]], [text('[{"title": "T", "picture": '), part(CAT), text("}]")]),
        ([lms.Example(a=CAT)], [text('{"a": '), part(CAT), text("}")]),
        ([Captioned(caption="c", url=CAT.url), "x"], [text("(c) "), part(CAT), text("|x")]),
        (["x", Captioned(caption="c", url=CAT.url)], [text("x|(c) "), part(CAT)]),
        ([Dumped(n=3), [Dumped(n=4)], Plain(n=5), [Plain(n=6)]], 'n=3|["n=4"]|{"n": 5}|[{"n": 6}]'),
        ([Code("x"), {"a": Code("x")}], '```python\nx\n```|{"a": "```python\\nx\\n```"}'),
        ([None, "", 3, [None]], "None||3|[null]"),
        ([History([{"q": CAT}])], [text('{"messages": [{"q": '), part(CAT), text("}]}")]),
        ([Audio(data="AAAA", audio_format="wav")], Audio(data="AAAA", audio_format="wav").format()),
        ([File(file_id="f")], [{"type": "file", "file": {"file_id": "f"}}]),
    ],
    ids=lambda one: str(one)[:30],
)
def test_parts_stand_between_the_text(values: list[Any], expected: Any) -> None:
    assert content(*values) == expected


def test_where_no_prompt_is_written_a_value_is_its_data() -> None:
    assert json.loads(text_of([CAT])) == [{"url": CAT.url}]
    assert json.loads(text_of(Card(title="T", picture=CAT))) == {"title": "T", "picture": {"url": CAT.url}}
    content(CAT)
    assert json.loads(text_of(CAT)) == {"url": CAT.url}


def test_no_text_can_pass_for_a_part() -> None:
    """The words that stand for parts are random for each prompt, so one seen before says nothing."""
    with collecting_parts() as parts:
        seen = text_of(CAT)
        assert seen != text_of(CAT)
    with collecting_parts() as others:
        whole = f"{seen} {text_of(DOG)}"
    assert others.split(whole) == [text(f"{seen} "), part(DOG)]
    assert parts.split("lmspart_0_") == "lmspart_0_"


def test_a_part_may_come_twice_and_the_messages_are_their_own() -> None:
    with collecting_parts() as parts:
        word = text_of(CAT)
    once, twice = parts.split(word), parts.split(word + word)
    assert once == [part(CAT)] and twice == [part(CAT)] * 2
    assert isinstance(once, list) and once[0] is not parts.split(word)[0]


def test_threads_collect_their_own() -> None:
    begun, done = threading.Event(), threading.Event()
    other: list[str] = []

    def work() -> None:
        begun.wait(10)
        other.append(text_of(CAT))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with collecting_parts() as parts:
        mine = text_of(CAT)
        begun.set()
        assert done.wait(10)
    thread.join(10)
    assert parts.split(mine + "|") == [part(CAT), text("|")]
    assert json.loads(other[0]) == {"url": CAT.url}


def test_what_a_type_formats_must_be_content_parts() -> None:
    class Wrong(Type):
        def format(self) -> Any:
            return [{"text": "no type"}]

    with pytest.raises(lms.SignatureError, match=r"Wrong\.format\(\) must give"):
        content(Wrong())


class Look(lms.Signature):
    """Look."""

    picture: Image = lms.InputField()
    others: list[Image] = lms.InputField(default_factory=list)
    history: History | None = lms.InputField()
    question: str = lms.InputField()
    answer: str = lms.OutputField()


def messages(**inputs: Any) -> list[dict[str, Any]]:
    demos = inputs.pop("demos", [])
    return lms.ChatAdapter().format(Look, demos, inputs)


def test_a_prompt_has_its_pictures_in_their_places() -> None:
    system, user = messages(picture=CAT, question="What?")
    assert isinstance(system["content"], str)
    before, picture, after = user["content"]
    assert before == text("[[ ## picture ## ]]\n") and picture == part(CAT)
    assert after["text"].startswith("\n\n[[ ## question ## ]]\nWhat?\n\n")


def test_demos_and_turns_have_theirs_too() -> None:
    demo = {"picture": {"url": CAT.url}, "others": [DOG.url], "question": "Q", "answer": "A", "history": History()}
    history = History([{"picture": DOG, "question": "Before?", "answer": "Yes."}])
    shown = messages(demos=[demo], picture=CAT, question="What?", history=history)
    assert [one["role"] for one in shown] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [one for one in shown[1]["content"] if one["type"] == "image_url"] == [part(CAT), part(DOG)]
    assert part(DOG) in shown[3]["content"] and part(CAT) not in shown[3]["content"]
    assert shown[4]["content"].startswith("[[ ## answer ## ]]\nYes.")
    assert "history" not in json.dumps(shown)


def test_turns_of_a_history_are_messages() -> None:
    given = [
        {"role": "user", "content": [part(CAT)]},
        {"role": "assistant", "content": "ho"},
        {"question": "only asked"},
        {"answer": "only answered", "other": 3},
    ]
    shown = messages(picture=CAT, question="What?", history=History(given))[1:-1]
    assert shown[:2] == given[:2]
    assert [(one["role"], "only" in one["content"]) for one in shown[2:]] == [("user", True), ("assistant", True)]
    assert messages(picture=CAT, question="What?", history=None)[1:] == messages(picture=CAT, question="What?")[1:]
    with pytest.raises(lms.SignatureError, match="a turn of the history has foo, and none of the fields"):
        messages(picture=CAT, question="What?", history=History([{"foo": 1}]))


def test_a_predictor_sends_them(serve: Any) -> None:
    server = serve(["[[ ## answer ## ]]\nA cat."])
    assert lms.Predict(Look)(picture=CAT.url, question="What?").answer == "A cat."
    sent = server.requests[0].body["messages"][-1]["content"]
    assert part(CAT) in sent and sent[0]["type"] == "text"


def test_documents_as_text() -> None:
    pdf, water = Document(b"%PDF-1.7", title="p.pdf"), Document("Water.", title="T", context="C")
    given = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [text("a "), *water.format(), text(" b"), part(CAT)]},
        {"role": "user", "content": [*pdf.format()]},
        {"role": "user", "content": Document("x").format()},
        {"role": "user", "content": [part(CAT)]},
    ]
    made = documents_as_text(given)
    assert made[0] == given[0] and made[4] == given[4]
    assert made[1]["content"] == [text("a <document>\nT\nC\nWater.\n</document> b"), part(CAT)]
    assert made[2]["content"][1]["file"] == {
        "file_data": "data:application/pdf;base64,JVBERi0xLjc=",
        "filename": "p.pdf",
    }
    assert made[3]["content"] == "<document>\nx\n</document>"


def test_a_field_of_text_shows_several_texts_as_before() -> None:
    field = lms.Signature("x -> y").fields["x"]
    assert format_value(field, ["a", "b"]) == "[1] «a»\n[2] «b»"
