"""`History`: the turns of a conversation."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import check_inputs
from lmstream_sync.signatures.types import Code, History, Image, Reasoning

SYSTEM = {"role": "system", "content": "Be brief."}
ASKED, ANSWERED = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
FIELDS = {"question": "Who?", "answer": "Me."}


def test_a_history_is_a_sequence_of_its_turns() -> None:
    turns = [FIELDS, ASKED, ANSWERED]
    history = History(turns)
    assert history == History(messages=turns) == History(history) == History(iter(turns))
    assert list(history) == history.messages == turns and len(history) == 3 and history[0] == FIELDS
    assert not History() and history
    turns.append(FIELDS)
    history.messages[0]["question"] = "changed"
    assert len(history) == 3 and FIELDS["question"] == "Who?"


def test_add_puts_a_turn_at_the_end_in_place() -> None:
    history = History()
    made = history.add(question="a", answer="b").add(role="user", content="c")
    made.add(lms.Prediction(answer="d"), question="e").add({"question": "f"})
    assert made is history
    assert history.messages == [
        {"question": "a", "answer": "b"},
        {"role": "user", "content": "c"},
        {"answer": "d", "question": "e"},
        {"question": "f"},
    ]
    for wrong in (lambda: history.add(), lambda: history.add(role="bot", content="x")):
        with pytest.raises(lms.SignatureError):
            wrong()
    assert len(history) == 4


@pytest.mark.parametrize(
    ("turns", "n", "kept"),
    [
        ([FIELDS, ASKED, ANSWERED], 1, [ASKED, ANSWERED]),
        ([FIELDS, ASKED, ANSWERED], 2, [FIELDS, ASKED, ANSWERED]),
        ([FIELDS, ASKED, ANSWERED], 9, [FIELDS, ASKED, ANSWERED]),
        ([FIELDS, ASKED, ANSWERED], 0, []),
        ([ASKED, ANSWERED, FIELDS], 1, [FIELDS]),
        ([FIELDS] * 5, 3, [FIELDS] * 3),
        ([ASKED, ASKED, ANSWERED], 1, [ASKED, ASKED, ANSWERED]),
        ([ANSWERED, ASKED, ANSWERED], 1, [ASKED, ANSWERED]),
        ([SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED], 1, [SYSTEM, ASKED, ANSWERED]),
        ([SYSTEM, ASKED], 0, [SYSTEM]),
        ([], 3, []),
    ],
)
def test_last_gives_whole_turns(turns: list[dict[str, Any]], n: int, kept: list[dict[str, Any]]) -> None:
    history = History(turns)
    assert history.last(n).messages == kept
    assert history.messages == turns


def test_json_both_ways() -> None:
    history = History([FIELDS, ASKED]).add(
        question=Reasoning("é\ud83d"), when=datetime.date(2024, 1, 2), code=Code("x"), images=[Image("https://a/b.png")]
    )
    again = History.from_json(history.to_json())
    assert again.messages[:2] == [FIELDS, ASKED]
    assert again.messages[2]["when"] == "2024-01-02"
    assert again.messages[2]["question"] == "é\ud83d"
    assert again.messages[2]["images"] == [{"url": "https://a/b.png"}]
    assert Code(again.messages[2]["code"]) == Code("x")
    assert History.from_json(again.to_json()) == again
    plain = History([FIELDS, ASKED])
    assert History.model_validate_json(plain.model_dump_json()) == plain == History.from_json(plain.model_dump_json())
    assert History.from_json(json.dumps([FIELDS])).messages == [FIELDS]
    assert lms.Prediction(h=plain).toDict() == {"h": {"messages": [FIELDS, ASKED]}}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: History("Hello"), "a list of dicts, not a str"),
        (lambda: History({"question": "x"}), "a list of dicts, not a dict"),
        (lambda: History(3), "not a int"),
        (lambda: History(["Hello"]), "turn 0 is a str"),
        (lambda: History([FIELDS, {}]), "turn 1 is empty"),
        (lambda: History([{1: 2}]), "no strings: 1"),
        (lambda: History([{"role": "bot", "content": "x"}]), "the role 'bot'; the roles are system"),
        (lambda: History(turns=[FIELDS]), "turns: Extra inputs"),
        (lambda: History([FIELDS]).last(-1), "0 or more"),
        (lambda: History.from_json("{"), "no history"),
        (lambda: History.from_json("3"), "not a int"),
        (lambda: History.from_json('{"message": []}'), "needs 'messages'"),
        (lambda: History.from_json('{"messages": 3}'), "not a int"),
        (lambda: History.from_json("[" * 100_000), "no history"),
    ],
)
def test_what_is_no_history_says_so(make: Any, complaint: str) -> None:
    with pytest.raises(lms.SignatureError, match=complaint) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_list_of_turns_does_as_an_input() -> None:
    signature = lms.Signature("question, history: lms.History -> answer")
    assert check_inputs(signature, {"question": "x", "history": [FIELDS]})["history"] == History([FIELDS])
    kept = History([FIELDS])
    assert check_inputs(signature, {"question": "x", "history": kept})["history"] is kept
    with pytest.raises(lms.SignatureError, match="the input 'history' is no History: .*turn 0 is a str"):
        check_inputs(signature, {"question": "x", "history": ["hello"]})
    optional = lms.Signature("question, history: History | None -> answer")
    assert check_inputs(optional, {"question": "x"})["history"] is None


def test_a_history_within_a_model() -> None:
    class Chat(pydantic.BaseModel):
        history: History

    assert Chat.model_validate({"history": [FIELDS]}).history == History([FIELDS])
    assert Chat.model_validate_json('{"history": {"messages": []}}').history == History()
