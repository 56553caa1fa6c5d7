"""Laws 1 and 2 for the chat reader: what was streamed is what came back, and little is held back."""

from __future__ import annotations

import random
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lmstream_sync.adapters.chat import ChatReader
from lmstream_sync.adapters.reader import FieldDelta
from tests.adapters import oracle

NAMES = ("answer", "answers", "b")

REPLIES = {
    "plain": "[[ ## answer ## ]]\nTo get to the other side.\n\n[[ ## b ## ]]\nyes\n\n[[ ## completed ## ]]\n",
    "brackets": "[[ ## answer ## ]]\na[[0]] matrix [[1, 2], [3, 4]]\n[[1, 2],\n [[3]]]\n\n[[ ## completed ## ]]",
    "look-alikes in a line": "[[ ## answer ## ]]\nwrite [[ ## b ## ]] so, or\n- [[ ## b ## ]]\n[[ ## b ## ]]\nyes",
    "look-alikes at line starts": (
        "[[ ## answer ## ]]\n[[ ## answers# ]]\n[[ ## c ## ]]\n[[## b ## ]]\n[[ ## b ##]]\n[[ ##  b ## ]]\n[[ ## b\n"
        "[[ ## answer ## ]]\n[[ ## b ## ]] [[ ## answers ## ]]\n[[ ## completed ## ]]"
    ),
    "empty fields": "[[ ## answer ## ]]\n[[ ## answers ## ]]\n\n \n[[ ## b ## ]]\n[[ ## completed ## ]]",
    "empty at the end": "[[ ## answer ## ]]\n\n[[ ## b ## ]]\n",
    "no completed": "[[ ## answer ## ]]\nyes \n\n",
    "partial marker at the end": "[[ ## answer ## ]]\nyes\n\n[[ ## compl",
    "partial marker then blank": "[[ ## answer ## ]]\nyes\n[[ ## \n\n [[ ##  \t\n[[ ## b ## ]] x",
    "text before and after": "Sure!\n[[ ## answer ## ]] yes\n[[ ## completed ## ]] bye\n[[ ## answer ## ]]\nagain\n",
    "a field after completed": "[[ ## answer ## ]]\nyes\n[[ ## completed ## ]]\nmore\n\t [[ ## b ## ]]\nno\n",
    "carriage returns": "[[ ## answer ## ]]\r\none\r\ntwo\r[[ ## b ## ]]\r\n\r\n[[ ## b ## ]]\r\nx\r\n[[ ## c ## ]]",
    "other line ends": "[[ ## answer ## ]]\none\u2028[[ ## b ## ]]\u2029\x0b[[ ## b ## ]]\x85x\n[[ ## b ## ]]\u2028",
    "white space of all kinds": "[[ ## answer ## ]]\u00a0\u3000a \u2003\x1c b\x1f\u00a0\n[[ ## b ## ]]\u200bb\ufeff",
    "astral and halves": "[[ ## answer ## ]]\n😀 e\u0301 \ud83d \ude00\n[[ ## b ## ]]\n\ud83d\ude00",
    "no marker": "I cannot do that.",
    "nothing": "",
    "only completed": "[[ ## completed ## ]]\nx",
    "indented": "  \t[[ ## answer ## ]]\n    code\n      more\n  \t  [[ ## b ## ]]x",
    "a marker directly after one": "[[ ## answer ## ]][[ ## b ## ]]\n[[ ## b ## ]]\n[[ ## b ## ]]",
    "long blanks": "[[ ## answer ## ]]\na\n" + " \n" * 20 + "b" + "\t \n" * 20 + "[[ ## b ## ]]" + " " * 30,
}


def read(pieces: Iterable[str], names: Sequence[str] = NAMES) -> tuple[list[FieldDelta], dict[str, str]]:
    """All deltas of a reply, checked piece by piece for what holds of every reader, and its fields."""
    reader = ChatReader(names)
    deltas: list[FieldDelta] = []
    for piece in pieces:
        new = reader.feed(piece)
        assert max(Counter(delta.field for delta in new).values(), default=1) == 1, "one delta a field and piece"
        assert all(delta.text or delta.last for delta in new), "an empty delta only to close"
        deltas += new
    end = reader.finish()
    deltas += end.deltas
    for name in {delta.field for delta in deltas}:
        of_field = [delta for delta in deltas if delta.field == name]
        assert [delta.last for delta in of_field] == [False] * (len(of_field) - 1) + [True], "one last, at the end"
        assert "".join(delta.text for delta in of_field) == end.fields[name], "what was streamed is what came back"
    assert {delta.field for delta in deltas} == end.fields.keys()
    return deltas, end.fields


def check_against_oracle(pieces: Sequence[str], names: Sequence[str] = NAMES) -> None:
    """After each piece exactly that is out which must be: no more (it could be wrong), no less (it lags)."""
    reader = ChatReader(names)
    out: dict[str, tuple[str, bool]] = {}
    for number, piece in enumerate(pieces, 1):
        for delta in reader.feed(piece):
            out[delta.field] = (out.get(delta.field, ("", False))[0] + delta.text, delta.last)
        expected = oracle.given(pieces[:number], names)
        assert out == {name: state for name, state in expected.items() if state != ("", False)}
    assert reader.finish().fields == oracle.fields("".join(pieces), names)


def cut(text: str, places: Iterable[int]) -> list[str]:
    ends = sorted({place for place in places if 0 < place < len(text)})
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_a_reply_in_one_piece(reply: str) -> None:
    assert read([reply])[1] == oracle.fields(reply, NAMES)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_every_cut_into_two(reply: str) -> None:
    whole = read([reply])[1]
    for place in range(len(reply) + 1):
        assert read([reply[:place], reply[place:]])[1] == whole
        check_against_oracle([reply[:place], reply[place:]])


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_one_character_at_a_time(reply: str) -> None:
    read(reply)
    check_against_oracle(list(reply))


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_pieces_of_one_size(reply: str, size: int) -> None:
    pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
    read(pieces)
    check_against_oracle(pieces)


FRAGMENTS = [
    *(f"[[ ## {name} ## ]]" for name in (*NAMES, "completed", "c")),
    *("[[ ## answer", "[[ ## ", "[[ ##", "[[ ", "[[", "[", " ## ]]", " ##", "]]", "answer", "s", "completed"),
    *("\n", "\n", "\n", " ", " ", "\t", "\r\n", "\r", "\n\n", "  \n", "\u2028", "\x85", "\u00a0", "\x1c", "\ufeff"),
    *("x", "word", " word", "é", "😀", "\ud83d", "\ude00", "\x00", "\u0301"),
]
replies = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@settings(max_examples=1500)
@given(text=replies, data=st.data())
def test_random_replies_cut_at_random(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
    pieces = cut(text, places)
    assert read(pieces)[1] == read([text])[1] == oracle.fields(text, NAMES)
    check_against_oracle(pieces)


@settings(max_examples=300)
@given(text=st.text(max_size=80), seed=st.integers(0, 2**32))
def test_any_text_is_a_field(text: str, seed: int) -> None:
    reply = f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]\n"
    places = random.Random(seed).sample(range(len(reply)), k=min(len(reply), 12))
    assert read(cut(reply, places))[1] == oracle.fields(reply, NAMES)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_hundreds_of_random_cuts(reply: str) -> None:
    """With the random replies above: thousands of cuts."""
    whole = oracle.fields(reply, NAMES)
    dice = random.Random(reply.encode("utf-8", "surrogatepass"))
    for _ in range(200):
        places = dice.choices(range(len(reply) + 1), k=dice.randint(0, 25))
        assert read(cut(reply, places))[1] == whole


@settings(max_examples=300)
@given(text=replies, data=st.data())
def test_pieces_that_are_empty_change_nothing(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    pieces = cut(text, places)
    padded = [part for piece in pieces for part in ("", piece, "")]
    assert read(padded) == read(pieces)


def feed_all(*pieces: str, names: Sequence[str] = NAMES) -> list[list[tuple[str, str, bool]]]:
    reader = ChatReader(names)
    return [[tuple(delta) for delta in reader.feed(piece)] for piece in pieces]


def test_chunks_keep_the_providers_pieces() -> None:
    assert feed_all("[[ ## answer ## ]]\n", "To", " get", " to", " the", " other") == [
        [],
        *([("answer", text, False)] for text in ("To", " get", " to", " the", " other")),
    ]


def test_the_last_chunk_carries_the_text_of_the_piece_that_shows_the_end() -> None:
    assert feed_all("[[ ## answer ## ]]\n", "side", "!\n\n[[ ##", " completed ## ]]\n")[1:] == [
        [("answer", "side", False)],
        [],
        [("answer", "!", True)],
    ]


def test_the_last_chunk_is_empty_when_all_text_has_gone_before() -> None:
    assert feed_all("[[ ## answer ## ]]\n", "side!", "\n\n[[ ##", " b ## ]]\n")[1:] == [
        [("answer", "side!", False)],
        [],
        [("answer", "", True)],
    ]


def test_a_whole_reply_in_one_piece_gives_one_delta_a_field() -> None:
    assert feed_all("[[ ## answer ## ]]\nyes\n\n[[ ## b ## ]]\nno\n\n[[ ## completed ## ]]\n") == [
        [("answer", "yes", True), ("b", "no", True)]
    ]


def test_a_piece_waits_from_where_the_doubt_begins_and_no_longer() -> None:
    assert feed_all("[[ ## answer ## ]]\n", "one ", "two ", "three", "\n[[ ## b", "x", ".")[1:] == [
        [],
        [("answer", "one ", False)],
        [("answer", "two three", False)],
        [],
        [("answer", "\n[[ ## bx", False)],
        [("answer", ".", False)],
    ]


def test_a_marker_of_a_field_already_seen_holds_nothing_back() -> None:
    assert feed_all("[[ ## b ## ]]\nyes", "\n[[ ## b", " ## ]]", "\n[[ ## c")[1:] == [
        [("b", "\n[[ ## b", False)],
        [("b", " ## ]]", False)],
        [],
    ]


def test_brackets_within_a_line_hold_nothing_back() -> None:
    assert feed_all("[[ ## answer ## ]]\na", "[[", "0]] [[ ## b ## ]")[1:] == [
        [("answer", "[[", False)],
        [("answer", "0]] [[ ## b ## ]", False)],
    ]


def test_an_empty_field_closes_with_one_empty_chunk() -> None:
    assert read(["[[ ## answer ## ]]\n", "\n[[ ## b ## ]]", "\n"])[0] == [("answer", "", True), ("b", "", True)]


def test_a_field_that_the_reply_may_lack_gets_one_delta_at_the_end() -> None:
    reader = ChatReader(["answer", "b", "c"], absent={"b": "", "c": "none"})
    assert reader.feed("[[ ## answer ## ]]\nyes") == [("answer", "yes", False)]
    end = reader.finish()
    assert end.deltas == [("answer", "", True), ("b", "", True), ("c", "none", True)]
    assert end.fields == {"answer": "yes"}


def test_a_field_that_must_be_there_gets_none() -> None:
    reader = ChatReader(["answer", "b"])
    assert reader.feed("[[ ## answer ## ]]\nyes\n[[ ## completed ## ]]") == [("answer", "yes", True)]
    assert reader.finish() == ([], {"answer": "yes"}, None)


def test_an_output_field_may_be_named_completed() -> None:
    reply = "[[ ## completed ## ]]\nyes\n[[ ## b ## ]]\nno\n[[ ## completed ## ]]\nignored"
    for place in range(len(reply) + 1):
        assert read([reply[:place], reply[place:]], ["completed", "b"])[1] == {"completed": "yes", "b": "no"}


def test_names_that_begin_alike_and_names_in_any_script() -> None:
    names = ["a", "aa", "aaa", "हिन्दी", "ℵ0"]
    reply = "".join(f"[[ ## {name} ## ]]\n{name}!\n" for name in names)
    for size in (1, 2, 7, len(reply)):
        pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
        assert read(pieces, names)[1] == {name: f"{name}!" for name in names}


def calls_made(pieces: Sequence[str], names: Sequence[str]) -> int:
    """How many Python and built-in calls reading takes: a count, so no clock is needed."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    reader = ChatReader(names)
    sys.setprofile(note)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "filler", ["word ", "x", " ", "\n", "\n[[ ## ", "\n[[ ## answers", "\n[[ ## b ##\n", "[[ ", "\n \t[[ ## b ## "]
)
def test_work_grows_with_the_text_and_not_faster(filler: str) -> None:
    """Twice the text, cut into twice as many pieces, takes twice the calls, whatever the text is."""
    sizes = []
    for length in (2_000, 4_000):
        text = f"[[ ## answer ## ]]\n{filler * (length // len(filler))}"
        sizes.append(calls_made(list(text), NAMES))
    assert sizes[1] < 2.2 * sizes[0]


def test_two_megabytes_in_tiny_pieces_and_two_hundred_fields() -> None:
    """Ends within the test's time limit only when the work is linear."""
    names = [f"field_{number}" for number in range(200)]
    body = ("lorem ipsum [[ dolor\n[[ ## field_" * 40_000)[: 2 * 1024 * 1024]
    reply = f"[[ ## field_0 ## ]]\n{body}\n" + "".join(f"[[ ## {name} ## ]]\n{name}\n" for name in names[1:])
    reader = ChatReader(names)
    for at in range(0, len(reply), 4):
        reader.feed(reply[at : at + 4])
    fields = reader.finish().fields
    assert fields == {names[0]: body.strip(), **{name: name for name in names[1:]}}


@pytest.mark.parametrize("filler", [" ", "\n", "\n ", "\t"])
def test_a_megabyte_of_white_space_waits_at_little_cost(filler: str) -> None:
    reader = ChatReader(["answer"])
    reader.feed("[[ ## answer ## ]]\nx")
    for _ in range(500_000):
        assert not reader.feed(filler)
    assert reader.feed("y") == [("answer", filler * 500_000 + "y", False)]


def test_the_pieces_of_a_marker_are_not_looked_for_among_all_markers_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def counted(known: Any, text: str) -> int:
        looked.append(text)
        return bisect_left(known, text)

    monkeypatch.setattr("lmstream_sync.adapters.markers.bisect_left", counted)
    names = [f"field{number}" for number in range(30)]
    reader = ChatReader(names)
    given = [reader.feed(piece) for piece in ["[[", " ##", " field7", " ##", " ]]", "\n", "yes"]]
    assert given == [[], [], [], [], [], [], [FieldDelta("field7", "yes", False)]]
    # The first piece, the one with the name (the first marker of all was hoped for), and what is no marker.
    assert [text for text in looked if not text.endswith("]]")] == ["[[", "[[ ## field7", "yes"]
