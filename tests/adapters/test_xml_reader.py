"""Laws 1 and 2 for the XML reader: what was streamed is what came back, and little is held back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence

import pytest

from lmstream_sync.adapters import XMLReader
from tests.adapters import xml_oracle
from tests.adapters.cutting import cut, same_size

NAMES = ("answer", "answers", "b")

REPLIES = {
    "plain": "<answer>\nTo get to the other side.\n</answer>\n\n<b>\nyes\n</b>\n",
    "markup inside": "<answer>a <i>b</i> <answer> <b>no</b> </answers> </ answer> </answerx></ANSWER></answer><b>x</b>",
    "bare signs": "<answer>1 < 2 && 3 > 2, a<<b, </, <, </>, <>, &, &;</answer>",
    "entities": "<answer>&lt;b&gt; &amp;amp; &quot;&apos; &#65;&#x42;&#x1F600;</answer>",
    "no entities": "<answer>&nbsp; &lt &Lt; &#; &#x; &#xD800; &#1114112; &#X41; &#123456789; & lt;</answer>",
    "blanks in the closing tag": "<answer>x</answer \n\t><b>y</b\r\n>",
    "attributes": "<answer type='a>b' n=\"</answer>\" lang=\"'>'\" checked>x</answer><b\n\tid='1'\n>y</b>",
    "an attribute that never ends": "<answer a='x <answer>yes</answer>",
    "empty": "<answer/><b /><answers></answers>",
    "empty with attributes": "<answer a='b'/><b a=b />x</b>",
    "look-alike opening tags": "<Answer>a</Answer> <answerx> < answer> <answer/x> <answer<b>y</b>",
    "a root around": "<?xml version='1.0'?>\n<r>\n  <answer>a</answer>\n  <b>c</b>\n</r>",
    "prose and fences": "Sure, 1 < 2:\n```xml\n<answer>a</answer>\n```\nbye </b> & so on",
    "the last tag is missing": "<answer>a</answer><b>yes \n",
    "cut in the closing tag": "<answer>yes</answ",
    "cut in an entity": "<answer>yes &am",
    "cut before >": "<answer>yes</answer \n ",
    "cut in the opening tag": "<b>x</b><answer a='",
    "twice": "<answer>first</answer><answer>second</answer><b>x</b><b>y</b>",
    "a section": "<answer>\n<![CDATA[if (a < b && c) { </answer> &lt; }]]>\n</answer><b>x</b>",
    "sections with ]]> between": "<answer><![CDATA[a]]]]><![CDATA[>b]]] ]]]]></answer>",
    "a section and text": "<answer><![CDATA[ a ]]>&lt;b <![CDATA[c]]></answer>",
    "a section that is only mentioned": "<answer>write <![CDATA[x]]> so</answer>",
    "a section that never ends": "<answer><![CDATA[a</answer><b>x</b>]]",
    "carriage returns": "<answer>\r\none\r\ntwo\rthree\r\n</answer>\r\n<b>\r\n\r\n</b>",
    "other line ends": "<answer>one\u2028two\u2029\x0bthree\x85</answer>",
    "white space of entities": "<answer>&#32;&#10;a&#32;b&#32;</answer><b>\n&#9;</b>",
    "astral and halves": "<answer>😀 e\u0301 \ud83d \ude00</answer><b>\ud83d\ude00</b>",
    "nothing": "",
    "no tag": "I cannot do that.",
    "long blanks": "<answer>a\n" + " \n" * 20 + "b" + "\t \n" * 20 + "</answer" + " " * 30 + "><b>c</b>",
    "blanks that close nothing": "<answer>a</answer" + " \n" * 20 + "b  </answer" + " " * 30,
}


def read(pieces: Iterable[str], names: Sequence[str] = NAMES) -> dict[str, str]:
    """The fields of a reply; breaks where what was streamed is not what came back."""
    reader = XMLReader(names)
    streamed: dict[str, str] = {}
    closed: set[str] = set()
    events = [reader.feed(piece) for piece in pieces]
    end = reader.finish()
    for together in [*events, end.deltas]:
        assert len({delta.field for delta in together}) == len(together), "one delta a field and piece"
        for name, text, last in together:
            assert name not in closed and (text or last)
            streamed[name] = streamed.get(name, "") + text
            closed |= {name} if last else set()
    assert streamed == end.fields and closed == end.fields.keys() and end.values is None
    return end.fields


def check_against_oracle(pieces: Sequence[str], names: Sequence[str] = NAMES) -> None:
    """After each piece exactly that is out which must be: no more (it could be wrong), no less (it lags)."""
    reader = XMLReader(names)
    out: dict[str, tuple[str, bool]] = {}
    for number, piece in enumerate(pieces, 1):
        for delta in reader.feed(piece):
            out[delta.field] = (out.get(delta.field, ("", False))[0] + delta.text, delta.last)
        expected = xml_oracle.given(pieces[:number], names)
        assert out == {name: state for name, state in expected.items() if state != ("", False)}
    assert reader.finish().fields == xml_oracle.fields("".join(pieces), names)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_every_cut_into_two(reply: str) -> None:
    whole = read([reply])
    assert whole == xml_oracle.fields(reply, NAMES)
    for place in range(len(reply) + 1):
        assert read([reply[:place], reply[place:]]) == whole
        check_against_oracle([reply[:place], reply[place:]])


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_pieces_of_one_size(reply: str, size: int) -> None:
    pieces = same_size(reply, size)
    read(pieces)
    check_against_oracle(pieces)


def test_random_replies_cut_at_random() -> None:
    """Signs, halves of signs and blanks in any order."""
    signs = [
        *(
            "<answer>",
            "</answer>",
            "</answer",
            "<answer",
            "<answers a='>'>",
            "</answers>",
            "<b/>",
            "<b",
            "/>",
            ">",
            "<b>",
        ),
        *(
            "</b>",
            "</",
            "<",
            "&",
            "&lt;",
            "&lt",
            "&#10;",
            "&#x41;",
            "&#",
            "&am",
            "p;",
            "<![CDATA[",
            "<![",
            "]]>",
            "]",
            "]]",
        ),
        *(" ", "\n", "x", "word", "'", '"', "</b\n >", " a=b", "&#xD83D;", "&nbsp;", "\u2028", "\u00a0"),
    ]
    for number in range(1500):
        dice = random.Random(number)
        text = dice.choice(("", "<answer>", "<b><![CDATA[")) + "".join(dice.choices(signs, k=dice.randint(1, 15)))
        pieces = cut(text, dice.choices(range(len(text) + 1), k=dice.choice((1, 4, 40))))
        check_against_oracle(pieces)
        assert read(pieces) == read([text]), number


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        ("<answer>1 < 2 & 3</answer>", {"answer": "1 < 2 & 3"}),
        (
            "<answer>a <i>b</i> </answers> </ answer> <b>no</b></answer>",
            {"answer": "a <i>b</i> </answers> </ answer> <b>no</b>"},
        ),
        ("<answer>&lt;/answer&gt;</answer>", {"answer": "</answer>"}),
        ("<answer>&amp;lt; &nbsp; &#xD83D;</answer>", {"answer": "&lt; &nbsp; &#xD83D;"}),
        ("<answer>&#128512; &#x1f600;</answer>", {"answer": "😀 😀"}),
        ("<answer>&#32;x&#10;</answer>", {"answer": "x"}),
        ("<answer>\n one\r\n two \n</answer>", {"answer": "one\r\n two"}),
        ('<answer n="1 > 0">x</answer>', {"answer": "x"}),
        ("<answer/><b />", {"answer": "", "b": ""}),
        ("<answer>yes", {"answer": "yes"}),
        ("<b>1</b><answer>2</answer><b>3</b>", {"b": "1", "answer": "2"}),
        ("<Answer>1</Answer>", {}),
        ("<r><answer>1</answer></r>", {"answer": "1"}),
        ("<answer><![CDATA[a < b && c </answer>]]></answer>", {"answer": "a < b && c </answer>"}),
        ("<answer><![CDATA[x]]]]><![CDATA[>y]]></answer>", {"answer": "x]]>y"}),
        ("<answer>so: <![CDATA[x]]></answer>", {"answer": "so: <![CDATA[x]]>"}),
    ],
)
def test_what_a_reply_means(reply: str, fields: dict[str, str]) -> None:
    assert read([reply]) == read(reply) == fields


def feed_all(*pieces: str, names: Sequence[str] = NAMES) -> list[list[tuple[str, str, bool]]]:
    reader = XMLReader(names)
    return [[tuple(delta) for delta in reader.feed(piece)] for piece in pieces]


def test_chunks_keep_the_providers_pieces() -> None:
    assert feed_all("<answer>\n", "To", " get", " to", " the", " other") == [
        [],
        *([("answer", text, False)] for text in ("To", " get", " to", " the", " other")),
    ]


def test_the_last_chunk_carries_the_text_of_the_piece_that_shows_the_end() -> None:
    assert feed_all("<answer>\n", "side", "!\n</", "answer>\n")[1:] == [
        [("answer", "side", False)],
        [],
        [("answer", "!", True)],
    ]


def test_the_last_chunk_is_empty_when_all_text_has_gone_before() -> None:
    assert feed_all("<answer>", "side!", "\n</", "answer>")[1:] == [
        [("answer", "side!", False)],
        [],
        [("answer", "", True)],
    ]


def test_a_whole_reply_in_one_piece_gives_one_delta_a_field() -> None:
    assert feed_all("<answer>yes</answer><b>no</b>") == [[("answer", "yes", True), ("b", "no", True)]]


def test_a_piece_waits_from_where_the_doubt_begins_and_no_longer() -> None:
    assert feed_all("<answer>", "one ", "two &", "am", "p; three", " </ans", "x", ".")[1:] == [
        [],
        [("answer", "one ", False)],
        [],
        [("answer", "two & three", False)],
        [],
        [("answer", " </ansx", False)],
        [("answer", ".", False)],
    ]


@pytest.mark.parametrize(
    "text", ["a < b", "a </b> ", "a & b", "&x", "</ ", "<i", "]]", "&lt;", "&#1114112;x", "a<![CDATA[b"]
)
def test_what_can_become_nothing_else_is_not_held_back(text: str) -> None:
    given = feed_all("<answer>-", text)[1]
    assert "".join(delta[1] for delta in given) == text.rstrip().replace("&lt;", "<") or text[-1] == " "
    if text[-1] == " ":
        assert feed_all("<answer>-", text, "x")[2] == [("answer", f"{text}x", False)]


def test_an_empty_field_closes_with_one_empty_chunk() -> None:
    assert feed_all("<answer>", " \n", "</answer>", "<b", "/>")[2:] == [[("answer", "", True)], [], [("b", "", True)]]


def test_a_field_that_the_reply_may_lack_gets_one_delta_at_the_end() -> None:
    made = iter(["first", "second"])
    reader = XMLReader(["answer", "b", "c", "d"], absent={"b": "", "c": "none", "d": lambda: next(made)})
    assert reader.feed("<answer>yes") == [("answer", "yes", False)]
    end = reader.finish()
    assert end.deltas == [("answer", "", True), ("b", "", True), ("c", "none", True), ("d", "first", True)]
    assert end.fields == {"answer": "yes", "d": "first"}


def test_names_that_begin_alike_and_names_in_any_script() -> None:
    names = ["a", "aa", "aaa", "हिन्दी", "ℵ0", "lt", "CDATA"]
    reply = "".join(f"<{name}>{name}!</{name}>" for name in names)
    for size in (1, 2, 7, len(reply)):
        assert read(same_size(reply, size), names) == {name: f"{name}!" for name in names}


def calls_made(pieces: Sequence[str]) -> int:
    """How many Python and built-in calls reading takes: a count, so no clock is needed."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    reader = XMLReader(NAMES)
    sys.setprofile(note)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("begin", ["<answer>", "<answer><![CDATA[", "<answer a='", "<answer ", "<", ""])
@pytest.mark.parametrize(
    "filler", ["word ", " ", "\n", "<", "</answer ", "</answers", "&#x0", "&lt;", "]", "<![CDATA[", "<b<"]
)
def test_work_grows_with_the_text_and_not_faster(begin: str, filler: str) -> None:
    """Twice the text, cut into twice as many pieces, takes twice the calls, whatever the text is."""
    sizes = [calls_made(list(begin + filler * (length // len(filler)))) for length in (1_000, 2_000)]
    assert sizes[1] < 2.2 * sizes[0]


def test_half_a_megabyte_in_small_pieces_and_two_hundred_fields() -> None:
    """Ends within the test's time limit only when the work is linear."""
    names = [f"field_{number}" for number in range(200)]
    body = ("lorem </field_ < ipsum & dolor &am </field_0x" * 20_000)[: 512 * 1024]
    reply = f"<field_0>{body}</field_0>\n" + "".join(f"<{name}>{name}</{name}>\n" for name in names[1:])
    expected = {names[0]: body.strip(), **{name: name for name in names[1:]}}
    assert read(same_size(reply, 8), names) == read([reply], names) == expected


@pytest.mark.parametrize("begun", ["x", "x</answer", "x</answer "])
def test_much_white_space_waits_at_little_cost(begun: str) -> None:
    reader = XMLReader(["answer"])
    first = reader.feed(f"<answer>{begun}")
    for _ in range(200_000):
        assert not reader.feed(" ")
    given = "".join(delta.text for delta in [*first, *reader.feed("y")])
    assert given == begun + " " * 200_000 + "y"
