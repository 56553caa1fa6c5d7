"""The chat adapter: what a prompt says, and what a reply's fields become."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import lmstream_sync as lms
from lmstream_sync.adapters import ChatAdapter

ADAPTER = ChatAdapter()
QA = lms.Signature("question, context: list[str] -> answer, score: float, kind: Literal['a', 'b']", "Answer briefly.")


class Lenient(lms.Signature):
    question: str = lms.InputField()
    answer: str = lms.OutputField(default="none")
    score: float = lms.OutputField(default=0.5)
    tags: list[str] = lms.OutputField(default_factory=list)
    note: str | None = lms.OutputField()


def test_a_prompt_is_a_system_message_and_the_inputs() -> None:
    system, user = ADAPTER.format(QA, [], {"question": "Why?", "context": ["x", "y"]})
    assert (system["role"], user["role"]) == ("system", "user")
    for part in (
        "Answer briefly.",
        "`context` (list[str])",
        "[[ ## kind ## ]]",
        "one number",
        "a, b",
        "[[ ## completed ## ]]",
    ):
        assert part in system["content"]
    assert user["content"].startswith('[[ ## question ## ]]\nWhy?\n\n[[ ## context ## ]]\n["x", "y"]\n\n')
    order = [user["content"].index(f"`[[ ## {name} ## ]]`") for name in ("answer", "score", "kind", "completed")]
    assert order == sorted(order)


def test_descriptions_and_constraints_are_told() -> None:
    signature = lms.Signature(
        {"q": lms.InputField(desc="what is asked"), "n": (int, lms.OutputField(ge=1, desc="how many"))}
    )
    system = ADAPTER.format(signature, [], {"q": "x"})[0]["content"]
    assert "what is asked" in system and "how many" in system and "at least 1" in system


def test_demos_come_as_pairs_those_with_gaps_first_and_with_a_note() -> None:
    complete = lms.Example(question="q1", context=[], answer="a1", score=1.0, kind="a")
    gaps = {"question": "q2", "answer": "a2", "score": None}
    says_nothing = {"question": "q3"}
    roles_and_texts = [
        (one["role"], one["content"])
        for one in ADAPTER.format(QA, [complete, says_nothing, gaps], {"question": "q", "context": []})
    ]
    assert [role for role, _ in roles_and_texts] == ["system", "user", "assistant", "user", "assistant", "user"]
    texts = [text for _, text in roles_and_texts]
    assert "not complete" in texts[1] and "q2" in texts[1] and "left out" in texts[2]
    assert texts[3] == "[[ ## question ## ]]\nq1\n\n[[ ## context ## ]]\n[]"
    assert ADAPTER.parse(QA, texts[4]) == {"answer": "a1", "score": 1.0, "kind": "a"}
    assert not any("q3" in text for text in texts)


@pytest.mark.parametrize(
    "values",
    [
        {"answer": "so", "score": 0.25, "kind": "b"},
        {"answer": "two\n\nlines [[ ## score ## ]] here", "score": -1.0, "kind": "a"},
        {"answer": "", "score": 0.0, "kind": "a"},
    ],
)
def test_what_is_rendered_reads_as_it_was(values: dict[str, Any]) -> None:
    assert ADAPTER.parse(QA, ADAPTER.render(QA, values)) == values


def test_absent_fields_are_not_rendered() -> None:
    assert ADAPTER.render(QA, {"score": 1, "else": 2}) == "[[ ## score ## ]]\n1\n\n[[ ## completed ## ]]\n"
    assert ADAPTER.render(QA, {}) == "[[ ## completed ## ]]\n"


def test_a_reply_without_a_field_is_an_error_with_all_there_is_to_know() -> None:
    reply = "[[ ## answer ## ]]\nso\n\n[[ ## score ## ]]\n1\n"
    with pytest.raises(lms.AdapterParseError, match="no field 'kind'") as caught:
        ADAPTER.parse(QA, reply)
    error = caught.value
    assert (error.adapter_name, error.lm_response, error.field) == ("ChatAdapter", reply, "kind")
    assert error.parsed_result == {"answer": "so", "score": 1.0}


def test_a_text_that_does_not_fit_is_an_error_that_names_the_field() -> None:
    with pytest.raises(lms.AdapterParseError, match="'score' does not fit its type") as caught:
        ADAPTER.parse(QA, "[[ ## answer ## ]]\nso\n[[ ## score ## ]]\nmany\n[[ ## kind ## ]]\n'b'\n")
    assert caught.value.field == "score"
    assert caught.value.parsed_result == {"answer": "so", "kind": "b"}


@pytest.mark.parametrize("reply", ["", "I cannot do that."])
def test_a_reply_without_any_field_is_an_error(reply: str) -> None:
    with pytest.raises(lms.AdapterParseError, match="'answer'"):
        ADAPTER.parse(QA, reply)


def test_a_text_made_for_an_absent_field_is_made_once() -> None:
    made = iter(["first", "second"])

    class Made(lms.Signature):
        question: str = lms.InputField()
        answer: str = lms.OutputField(default_factory=lambda: next(made))

    reader = ADAPTER.reader(Made)
    finished = reader.finish()
    assert finished.deltas == [("answer", "first", True)]
    assert ADAPTER.values(Made, finished, "") == {"answer": "first"}


def test_absent_fields_take_their_default() -> None:
    assert ADAPTER.parse(Lenient, "") == {"answer": "none", "score": 0.5, "tags": [], "note": None}
    assert ADAPTER.parse(Lenient, "[[ ## answer ## ]]\n[[ ## score ## ]]\n[[ ## note ## ]] x") == {
        "answer": "",
        "score": 0.5,
        "tags": [],
        "note": "x",
    }


def test_what_streams_of_an_absent_field_is_what_comes_back() -> None:
    end = ADAPTER.reader(Lenient).finish()
    assert end.deltas == [("answer", "none", True), ("score", "", True), ("tags", "", True), ("note", "", True)]
    assert end.fields == {}


class Watcher(lms.BaseCallback):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("format", sorted(inputs)))

    def on_adapter_format_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.seen.append(("formatted", len(outputs)))

    def on_adapter_parse_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("parse", inputs["completion"]))

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.seen.append(("parsed", type(exception).__name__ if exception else outputs))


def test_callbacks_see_each_once() -> None:
    watcher = Watcher()
    adapter = ChatAdapter(callbacks=[watcher])
    signature = lms.Signature("q -> a")
    adapter.format(signature, [], {"q": "x"})
    adapter.parse(signature, "[[ ## a ## ]] y")
    with pytest.raises(lms.AdapterParseError):
        adapter.parse(signature, "")
    assert watcher.seen == [
        ("format", ["demos", "inputs", "signature"]),
        ("formatted", 2),
        ("parse", "[[ ## a ## ]] y"),
        ("parsed", {"a": "y"}),
        ("parse", ""),
        ("parsed", "AdapterParseError"),
    ]


def test_a_literal_takes_one_of_its_words() -> None:
    signature = lms.Signature({"kind": (Literal["yes", "no"], lms.OutputField())})
    assert ADAPTER.parse(signature, '[[ ## kind ## ]]\n"yes"') == {"kind": "yes"}
