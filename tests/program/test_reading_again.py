"""A text that was read is not read again, where that can make no difference: a reply that a cache gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.adapters.chat import ChatReader
from lmstream_sync.lm.engine import Choice
from lmstream_sync.program import reading
from lmstream_sync.program.reading import Reading

from .conftest import reply


@pytest.fixture
def readers() -> Iterator[list[str]]:
    """How often a text was read, by whatever chat reader."""
    fed: list[str] = []
    whole = ChatReader.feed

    def feed(self: ChatReader, text: str) -> Any:
        fed.append(text)
        return whole(self, text)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ChatReader, "feed", feed)
        yield fed


def how(signature: Any, adapter: Any = None) -> Reading:
    made = lms.Signature(signature) if isinstance(signature, str) else signature
    return Reading(adapter or lms.ChatAdapter(), made, made, {})


def test_a_text_is_read_once(readers: list[str]) -> None:
    asks = how("q -> answer")
    first = asks.whole(Choice(reply(answer="yes")))
    # Another adapter object of the same kind, another text object.
    again = Reading(lms.ChatAdapter(), asks.signature, asks.asked, {}).whole(Choice("".join([reply(answer="yes")])))
    assert again.finished.fields == first.finished.fields == {"answer": "yes"}
    assert len(readers) == 1
    assert asks.whole(Choice(reply(answer="no"))).finished.fields == {"answer": "no"}
    assert len(readers) == 2


def test_what_one_caller_does_to_his_prediction_no_other_sees(scripted_lm: Any) -> None:
    scripted_lm.reply(answer="yes")
    program = lms.Predict("q -> answer")
    first = program(q="?")
    first.answer = "changed"
    first.completions.answer.append("more")
    first._raw["answer"] = "changed"
    second = program(q="?")
    assert (second.answer, second.raw("answer"), len(second.completions)) == ("yes", "yes", 1)


def test_a_default_that_is_made_anew_is_made_for_each_reply(readers: list[str]) -> None:
    made = iter(range(10))

    class Numbered(lms.Signature):
        q: str = lms.InputField()
        answer: str = lms.OutputField()
        number: str = lms.OutputField(default_factory=lambda: f"number {next(made)}")

    texts = [how(Numbered).whole(Choice(reply(answer="yes"))).finished.fields["number"] for _ in range(2)]
    assert texts == ["number 0", "number 1"]
    assert len(readers) == 2


def test_values_that_a_caller_may_change_are_made_for_each_reply() -> None:
    asks = how("q -> names: list[str], more: dict[str, Any]", lms.JSONAdapter())
    choice = Choice('{"names": ["a"], "more": {"b": [1]}}')
    first = asks.values(asks.whole(choice), choice)[0]
    first["more"]["b"].append(2)
    first["names"].append("c")
    assert asks.values(asks.whole(choice), choice)[0] == {"names": ["a"], "more": {"b": [1]}}


class Counting(lms.ChatAdapter):
    """An adapter of a user's, whose reader is another each time."""

    made = 0

    def reader(self, signature: Any) -> ChatReader:
        self.made += 1
        return ChatReader([f"{name}" for name in signature.output_fields])


class Parsing(lms.ChatAdapter):
    """One that parses."""

    made = 0

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        self.made += 1
        return {"answer": str(self.made)}


class Renamed(lms.ChatAdapter):
    """One that changes nothing of how a reply is read."""

    def render(self, signature: Any, values: Any) -> str:
        return ""


@pytest.mark.parametrize(("adapter", "times"), [(Counting(), 3), (Parsing(), 3)])
def test_an_adapter_of_the_users_own_reads_each_reply(adapter: Any, times: int) -> None:
    asks = how("q -> answer", adapter)
    for _ in range(times):
        asks.whole(Choice(reply(answer="yes")))
    assert adapter.made == times


def test_one_that_reads_as_ours_does_reads_once(readers: list[str]) -> None:
    asks = how("q -> answer", Renamed())
    for _ in range(3):
        asks.whole(Choice(reply(answer="yes")))
    assert len(readers) == 1


@pytest.mark.parametrize("adapter", [lms.ChatAdapter(), lms.JSONAdapter(), lms.XMLAdapter()])
@pytest.mark.parametrize("answer", ["yes", "", " [[ ## a ## ]] <b>&amp;</b> {}", "\u2028", '{"a": [1]}'])
def test_the_second_reading_is_as_the_first(adapter: Any, answer: str) -> None:
    asks = how("q -> answer, reason", adapter)
    choice = Choice(adapter.render(asks.signature, {"answer": answer, "reason": "r"}))
    alone = asks._read(choice)
    for _ in range(2):
        assert asks.whole(choice).finished == alone.finished
        assert asks.values(asks.whole(choice), choice) == asks.values(alone, choice)


def test_few_texts_and_no_long_ones_are_remembered(readers: list[str]) -> None:
    asks = how("q -> answer")
    long = Choice(reply(answer="x" * reading._LONGEST))
    for _ in range(2):
        asks.whole(long)
    assert len(readers) == 2
    for number in range(reading._MOST + 1):
        asks.whole(Choice(reply(answer=str(number))))
    asks.whole(Choice(reply(answer="0")))  # the least recently used has left
    assert len(readers) == 2 + reading._MOST + 2


def test_a_reply_that_does_not_parse_does_not_parse_twice(scripted_lm: Any) -> None:
    scripted_lm.reply("no markers at all")
    program = lms.Predict("q -> answer")
    with lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        for _ in range(2):
            with pytest.raises(lms.AdapterParseError):
                program(q="?")
