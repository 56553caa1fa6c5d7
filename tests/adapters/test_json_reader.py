"""Laws 1 and 2 for the JSON reader: what was streamed is what came back, and little is held back."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lmstream_sync.adapters.json_reader import JSONReader
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldRestart, Finished

NAMES = ("answer", "answers", "b")


def read(pieces: Iterable[str], names: Sequence[str] = NAMES, **options: Any) -> tuple[list[FieldEvent], Finished]:
    """All events of a reply, checked piece by piece for what holds of every reader, and its end."""
    reader = JSONReader(names, **options)
    events: list[FieldEvent] = []
    for piece in pieces:
        new = reader.feed(piece)
        counts = Counter((type(event), event.field) for event in new)
        assert max(counts.values(), default=1) == 1, "one delta, and one restart, a field and piece"
        assert all(event.text or event.last for event in new if isinstance(event, FieldDelta)), "empty only to close"
        events += new
    end = reader.finish()
    events += end.deltas
    texts: dict[str, str] = {}
    closed: dict[str, bool] = {}
    for event in events:
        name = event.field
        if isinstance(event, FieldRestart):
            assert name in texts, "only what was given begins again"
            assert event.reason and "\n" not in event.reason
            texts[name], closed[name] = "", False
        else:
            assert isinstance(event, FieldDelta)
            assert not closed.get(name), "nothing after the last one"
            texts[name] = texts.get(name, "") + event.text
            closed[name] = event.last
    assert all(closed.values()), "one last, at the end"
    assert {name: text for name, text in texts.items() if name in end.fields} == end.fields, "streamed = came back"
    assert texts.keys() - end.fields.keys() <= options.get("absent", {}).keys()
    return events, end


def restarts(events: Iterable[FieldEvent]) -> list[str]:
    return [event.field for event in events if isinstance(event, FieldRestart)]


def cut(text: str, places: Iterable[int]) -> list[str]:
    ends = sorted({place for place in places if 0 < place < len(text)})
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def values(text: str, **options: Any) -> Any:
    return read([text], **options)[1].values


# Replies that are one JSON object, with nothing about them that has to be put right.
OBJECTS = {
    "plain": '{"answer": "To get to the other side.", "b": true}',
    "indented": '{\n  "answer": "yes",\n  "b": [\n    1,\n    2\n  ]\n}',
    "no blanks": '{"b":{"answer":"no"},"answer":"yes","answers":-1.5e+3}',
    "escapes": r'{"answer": "\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac \\u0041 \\\\\" \\n", "b": "\\"}',
    "surrogate pairs": r'{"answer": "\ud83d\ude00 \uD83D\uDE00x", "b": "\ud83d\ud83d\ude00"}',
    "lone halves": r'{"answer": "\ud83d", "answers": "\ud83d\n\ude00", "b": "\ude00\ud83d\u0041 \ud83dx"}',
    "astral as it is": '{"answer": "😀 e\u0301", "b": "\ud83d\ude00"}',
    "empty values": '{"answer": "", "answers": {}, "b": []}',
    "scalars": '{"answer": null, "answers": false, "b": 0}',
    "brackets in strings": '{"answer": "}{][", "b": ["}", "]", "\\"]", {"}": "\\\\"}]}',
    "JSON in JSON": json.dumps({"answer": json.dumps({"b": json.dumps({"answer": "x\n\"'"})}), "b": {"b": [{}]}}),
    "unknown keys": '{"why": "{\\"b\\": 1}", "n": [1, {"answer": "no"}], "answer": "yes", "z": null, "b": 2}',
    "keys with escapes": r'{"ans\u0077er": "yes", "\u0062": 1, "\"answer\"": 2}',
    "raw control characters": '{"answer": "one\ntwo\r\n\tthree\x00\x7f\u2028", "b": ["a\nb"]}',
    "twice": '{"answer": "first", "b": 1, "answer": "second", "b": [2], "answer": {"x": 1}}',
    "twice the same": '{"answer": "same", "answer": "same"}',
    "deep": '{"b": ' + "[" * 50 + '{"a":' * 20 + "1" + "}" * 20 + "]" * 50 + "}",
    "markers": '{"answer": "[[ ## b ## ]]\\n<b>```json\\n{}```", "b": "</b>"}',
}

# What is about the object, with `%s` for it.
NOISES = {
    "fenced": "```json\n%s\n```",
    "fenced without a name": "```\n%s\n```\n",
    "prose": 'Sure! I use {braces} and {"quotes"} and {} and {"x": 1} and "b": 2.\n%s\nHope {"answer": "that"} helps}',
    "an array": "[%s]",
    "a brace before": "{ %s",
    "an object before": '{"x": {"answer": "not this"}, "y": "\\"}{"} %s',
    "a byte order mark": "\ufeff%s",
    "a brace and a quote": '{" %s',
    "a marker": "[[ ## answer ## ]]\n%s\n[[ ## completed ## ]]",
    "broken objects before": '{"answer": ...} {"answer": <text>} {"answer" "b"} {"answer": } %s } "',
}


class Span:
    """Where a value stands in the text: for a string, what is between its quotes."""

    def __init__(self, text: str, begin: int, end: int) -> None:
        self.is_string = text[begin] == '"'
        self.begin = begin + self.is_string
        self.end = end - self.is_string
        #: From how many characters on it is known to have ended; a number's end is known by what follows.
        self.closed_at = end if self.is_string or text[begin] in "{[" else end + 1
        self.text = text

    def shown(self, length: int) -> tuple[str, bool]:
        """What of it must be out when so many characters have come, and whether it is closed."""
        inner = self.text[self.begin : min(self.end, length)]
        if not self.is_string:
            return inner, length >= self.closed_at
        return decoded(inner, whole=length >= self.closed_at), length >= self.closed_at


def decoded(inner: str, whole: bool) -> str:
    """A string's text so far, as slowly as can be."""
    out, at = "", 0
    while at < len(inner):
        match = re.compile(r"\\(?:u[0-9a-f]{4}|[^u])|[^\\]", re.DOTALL | re.IGNORECASE).match(inner, at)
        if match is None:
            break
        pair = re.compile(r"\\ud[89ab]..\\ud[cdef]..", re.IGNORECASE).match(inner, at)
        if pair is None and re.match(r"\\ud[89ab]", match[0], re.IGNORECASE) and not whole:
            rest = inner[match.end() :]
            if len(rest) < 6 and re.fullmatch(r"(\\(u[0-9a-f]{0,3})?)?", rest, re.IGNORECASE):
                break  # the other half may yet come
        match = pair or match
        out += json.loads(f'"{match[0]}"', strict=False)
        at = match.end()
    return out


def spans(text: str, names: Sequence[str] = NAMES) -> list[tuple[str, Span]]:
    """The fields' values in a text that is one object, in order."""
    found = []
    decoder = json.JSONDecoder(strict=False)
    at = 1
    while '"' in text[at:]:
        at = text.index('"', at)
        key, at = decoder.raw_decode(text, at)
        begin = re.compile(r"\s*:\s*").match(text, at).end()  # type: ignore[union-attr]
        _, at = decoder.raw_decode(text, begin)
        if key in names:
            found.append((key, Span(text, begin, at)))
    return found


def check_against_oracle(pieces: Sequence[str]) -> None:
    """After each piece exactly that is out which must be: no more (it could be wrong), no less (it lags)."""
    text = "".join(pieces)
    values_in_order = spans(text)
    reader = JSONReader(NAMES)
    out: dict[str, tuple[str, bool]] = {}
    for piece, length in zip(pieces, accumulate(map(len, pieces)), strict=True):
        for event in reader.feed(piece):
            if isinstance(event, FieldRestart):
                out[event.field] = ("", False)
            else:
                assert isinstance(event, FieldDelta)
                out[event.field] = (out.get(event.field, ("", False))[0] + event.text, event.last)
        expected = {name: span.shown(length) for name, span in values_in_order if length > span.begin - span.is_string}
        nothing = ("", False)
        assert {n: o for n, o in out.items() if o != nothing} == {n: e for n, e in expected.items() if e != nothing}
    end = reader.finish()
    assert end.deltas == []
    assert end.values == {name: value for name, value in json.loads(text, strict=False).items() if name in NAMES}


@pytest.mark.parametrize("reply", OBJECTS.values(), ids=OBJECTS)
def test_an_object_in_one_piece(reply: str) -> None:
    events, end = read([reply])
    assert end.values == {name: one for name, one in json.loads(reply, strict=False).items() if name in NAMES}
    assert restarts(events) == [], "what came in one piece was never given before"
    assert len(events) == len(end.fields)


@pytest.mark.parametrize("reply", OBJECTS.values(), ids=OBJECTS)
def test_every_cut_into_two(reply: str) -> None:
    for place in range(len(reply) + 1):
        pieces = [reply[:place], reply[place:]]
        assert read(pieces)[1].fields == read([reply])[1].fields
        check_against_oracle(pieces)


@pytest.mark.parametrize("reply", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_of_one_size(reply: str, size: int) -> None:
    pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
    read(pieces)
    check_against_oracle(pieces)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("reply", [OBJECTS["plain"], OBJECTS["JSON in JSON"], OBJECTS["unknown keys"]])
def test_what_is_about_the_object_changes_nothing(noise: str, reply: str) -> None:
    text = noise.replace("%s", reply)
    whole = read([reply])[1]
    for pieces in ([text], list(text), *([text[:at], text[at:]] for at in range(len(text)))):
        events, end = read(pieces)
        assert (end.fields, end.values) == (whole.fields, whole.values)
        assert restarts(events) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(st.characters() | st.sampled_from('"\\{}[]:,/ \n\r\t\x00\ud83d\ude00😀'), max_size=30)
objects = st.dictionaries(st.sampled_from([*NAMES, "x", ""]), texts | json_values, max_size=5)


@settings(max_examples=300)
@given(value=objects, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), data=st.data())
def test_random_objects_cut_at_random(
    value: dict[str, Any], ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    pieces = cut(text, data.draw(st.lists(st.integers(0, len(text)), max_size=30)))
    expected = {name: one for name, one in json.loads(text).items() if name in NAMES}
    assert read(pieces)[1].values == expected
    if expected:
        check_against_oracle(pieces)


FRAGMENTS = [
    *('{"answer": "', '{"answer": ', '"b": ', '{"b": [', "}", "}", "]", '"', '"', "'", ",", ", ", ":", "{", "[", "\\"),
    *('\\"', "\\u", "\\ud83d", "\\ude00", "\\n", "\n", " ", "x", "word", "None", "true", "1", "-", ".5", "e", "007"),
    *(
        "```",
        "//",
        "/*",
        "#",
        "...",
        "😀",
        "\ud83d",
        "“",
        "answer",
        '"answer"',
        "'b': ",
        "\x00",
        "NaN",
        "[[ ## b ## ]]",
    ),
]
replies = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)


@settings(max_examples=400)
@given(text=replies, data=st.data())
def test_any_text_at_all_cut_at_random(text: str, data: st.DataObject) -> None:
    """Nothing crashes, the law holds, and where the reply was cut does not show in what comes back."""
    pieces = cut(text, data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    whole = read([text])[1]
    end = read(pieces)[1]
    assert end.fields == whole.fields
    assert repr(end.values) == repr(whole.values)  # NaN equals nothing


def feed_all(*pieces: str, names: Sequence[str] = NAMES) -> list[list[tuple[Any, ...]]]:
    reader = JSONReader(names)
    return [[tuple(event) for event in reader.feed(piece)] for piece in pieces]


def test_chunks_keep_the_providers_pieces() -> None:
    assert feed_all('{"answer": "', "To", " get", " to", ' the"', ', "b": [1,', " 2", "]}") == [
        [],
        [("answer", "To", False)],
        [("answer", " get", False)],
        [("answer", " to", False)],
        [("answer", " the", True)],
        [("b", "[1,", False)],
        [("b", " 2", False)],
        [("b", "]", True)],
    ]


def test_the_last_chunk_is_empty_when_all_text_has_gone_before() -> None:
    assert feed_all('{"answer": "side!', '"', ', "b": 12', "\n}")[1:] == [
        [("answer", "", True)],
        [("b", "12", False)],
        [("b", "", True)],
    ]


def test_an_escape_waits_and_nothing_else_does() -> None:
    assert feed_all('{"answer": "a', "b\\", "nc\\u00", "e9d\\ud83d", "\\u", "de00e\\ud83d", "\\", "n") == [
        [("answer", "a", False)],
        [("answer", "b", False)],
        [("answer", "\nc", False)],
        [("answer", "éd", False)],
        [],
        [("answer", "😀e", False)],
        [],
        [("answer", "\ud83d\n", False)],
    ]


def test_a_field_that_comes_twice_begins_again() -> None:
    assert feed_all('{"answer": "one"', ', "answer": ', '"two"', ', "answer": "three", "answer": 4}') == [
        [("answer", "one", True)],
        [],
        [("answer", "the reply has this field once more, and the last one counts"), ("answer", "two", True)],
        [("answer", "the reply has this field once more, and the last one counts"), ("answer", "4", True)],
    ]
    assert feed_all('{"answer": "one", "b": 1, "answer": "two"}') == [[("b", "1", True), ("answer", "two", True)]]


def test_a_field_that_begins_again_empty_is_void_at_once() -> None:
    reason = "the reply has this field once more, and the last one counts"
    assert feed_all('{"answer": "one", "answer": "', "x", '"}') == [
        [],
        [("answer", "x", False)],
        [("answer", "", True)],
    ]
    assert feed_all('{"answer": "one"', ', "answer": "', "x") == [
        [("answer", "one", True)],
        [("answer", reason)],
        [("answer", "x", False)],
    ]


# Nearly JSON: the reply, its values, and which fields must begin again when it comes a character at a time.
NEARLY: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "trailing commas": ('{"answer": "a", "b": [1, {"x": 2,},],}', {"answer": "a", "b": [1, {"x": 2}]}, []),
    "Python's words": (
        '{"answer": None, "b": [True, False, None, "True"]}',
        {"answer": None, "b": [True, False, None, "True"]},
        [],
    ),
    "words JSON lacks": ('{"answer": -Infinity, "b": [Infinity]}', {"answer": -float("inf"), "b": [float("inf")]}, []),
    "LaTeX": (
        r'{"answer": "\alpha \(x\) \u12 it\'s", "b": ["\alpha"]}',
        {"answer": r"\alpha \(x\) \u12 it's", "b": [r"\alpha"]},
        [],
    ),
    "single quotes": ("{'answer': 'it\\'s', 'b': [1]}", {"answer": "it's", "b": [1]}, []),
    "bare keys": ('{answer: "a", b: 1}', {"answer": "a", "b": 1}, []),
    "bare values": ('{"answer": To be or not, "b": 1}', {"answer": "To be or not", "b": 1}, []),
    "comments": ('{"answer": "a", // so\n "b": /* it is */ 1}', {"answer": "a", "b": 1}, []),
    "inner quotes": ('{"answer": "He said "hi" to me", "b": 1}', {"answer": 'He said "hi" to me', "b": 1}, ["answer"]),
    "a comma lacks": ('{"answer": "a"\n"b": "c"}', {"answer": "a", "b": "c"}, []),
    "leading zeros": ('{"answer": "a", "b": 007}', {"answer": "a", "b": 7}, ["b"]),
    "no brace at the end": ('{"answer": "a", "b": 1', {"answer": "a", "b": 1}, []),
    "cut off in a string": ('{"b": 1, "answer": "so far \\u00', {"answer": "so far ", "b": 1}, []),
    "cut off in a pair": ('{"b": 1, "answer": "so far \\ud83d', {"answer": "so far ", "b": 1}, []),
    "cut off in a list": ('{"answer": "a", "b": [1, {"x": "y', {"answer": "a", "b": [1, {"x": "y"}]}, []),
    "cut off after a comma": ('{"answer": "a", "b": [1, {"x": ', {"answer": "a", "b": [1, {"x": ""}]}, []),
    "cut off between": ('{"answer": "a", "b": [1 , ', {"answer": "a", "b": [1]}, []),
    "cut off in a key": ('{"answer": "a", "b', {"answer": "a"}, []),
    "cut off before a value": ('{"answer": "a", "b": ', {"answer": "a"}, []),
    "wrapped": ('{"result": {"why": "", "answer": "a", "b": 1.50}}', {"answer": "a", "b": 1.5}, []),
    "wrapped and cut off": ('{"result": {"answer": "a", "b": [1', {"answer": "a", "b": [1]}, []),
    "wrapped in prose": ("So: {'result': {'answer': 'a', 'b': 1}} is it.", {"answer": "a", "b": 1}, []),
    "an unknown value is broken": ("""{"answer": "a", "x": {'b': 1}}""", {"answer": "a"}, []),
    "more after the end": ("""{"answer": "a", 'b': 1}\n{"x": 1}\n```\nSo {it} is.""", {"answer": "a", "b": 1}, []),
    "what is certain is not touched": (
        '{"answer": " \\ud83d a\\n", "b": 01}',
        {"answer": " \ud83d a\n", "b": 1},
        ["b"],
    ),
}


@pytest.mark.parametrize(("reply", "expected", "begun_again"), NEARLY.values(), ids=NEARLY)
def test_what_is_nearly_JSON_is_put_right(reply: str, expected: dict[str, Any], begun_again: list[str]) -> None:
    events, end = read([reply])
    assert end.values == expected
    assert restarts(events) == []
    events, end = read(reply)
    assert end.values == expected
    assert restarts(events) == begun_again
    for place in range(len(reply)):
        assert read([reply[:place], reply[place:]])[1].values == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('Such as {"answer": "x"}? No: {"answer": "a", "b": 1}', {"answer": "a", "b": 1}),
        (
            """{'answer': 'say {"b": 1, "x": {"b": 2}}', 'b': [3]}""",
            {"answer": 'say {"b": 1, "x": {"b": 2}}', "b": [3]},
        ),
        ('Such as {"b": 1}? Or {"b": 2}? Or {"b": 3}?', {"b": 1}),
    ],
)
def test_an_object_that_lacks_fields_gives_way_to_one_that_has_all(reply: str, expected: dict[str, Any]) -> None:
    for pieces in ([reply], list(reply), *([reply[:at], reply[at:]] for at in range(len(reply)))):
        events, end = read(pieces, ["answer", "b"])
        assert end.values == expected
    assert read(list(reply), ["answer", "b"], absent={"answer": "", "b": ""})[0][0] in {
        ("answer", "x", False),
        ("b", "1", False),
    }


def test_a_repair_that_only_adds_goes_on_where_the_text_stopped() -> None:
    reader = JSONReader(NAMES)
    assert reader.feed('{"b": ["x", "y') == [("b", '["x", "y', False)]
    assert reader.finish().deltas == [("b", '"]', True)]


def test_after_an_error_nothing_is_given_until_the_end() -> None:
    reader = JSONReader(NAMES)
    events = [
        event for piece in ('{"answer": "I say ', '"no" ', "to ", 'that", ', '"b": 2}') for event in reader.feed(piece)
    ]
    assert events == [("answer", "I say ", False)]
    assert reader.finish().deltas == [("answer", '"no" to that', True), ("b", "2", True)]


def test_what_was_wrong_begins_again() -> None:
    reader = JSONReader(NAMES)
    assert reader.feed('{"answer": "I say "') == [("answer", "I say ", True)]
    assert reader.feed('no" to that", "b": 2}') == []
    assert reader.finish().deltas == [
        ("answer", "the reply was not valid JSON and was repaired"),
        ("answer", 'I say "no" to that', True),
        ("b", "2", True),
    ]


@pytest.mark.parametrize(
    "reply", ["", "I cannot do that.", "42", '"yes"', '["a"]', "{", '{"', "{}", '{"x": 1}', '{"answer"']
)
def test_a_reply_without_any_field(reply: str) -> None:
    assert read([reply]) == read(reply) == ([], Finished([], {}, {}))


def test_values_of_text_fields_are_left_to_their_text() -> None:
    reply = '{"answer": {"x":1}, "b": "y", "answers": null}'
    end = read([reply], texts=["answer", "b", "answers"])[1]
    assert end.fields == {"answer": '{"x":1}', "answers": "null", "b": "y"}
    assert end.values == {"b": "y"}


@pytest.mark.parametrize("source", ["9" * 5000, "[" * 100_000 + "]" * 100_000, "[" * 100_000])
def test_what_no_decoder_takes_is_left_to_its_text(source: str) -> None:
    end = read(['{"answer": "a", "b": ', source, ', "answers": 1}'])[1]
    assert end.fields["b"].startswith(source)
    assert end.values is not None and "b" not in end.values


def test_a_field_that_the_reply_may_lack_gets_one_delta_at_the_end() -> None:
    made = iter(["first", "second"])
    reader = JSONReader(["answer", "b", "c"], absent={"b": "none", "c": lambda: next(made)})
    assert reader.feed('{"answer": "yes"}') == [("answer", "yes", True)]
    end = reader.finish()
    assert end.deltas == [("b", "none", True), ("c", "first", True)]
    assert end.fields == end.values == {"answer": "yes", "c": "first"}


def test_pieces_that_are_empty_change_nothing() -> None:
    reply = OBJECTS["escapes"]
    padded = [part for char in reply for part in ("", char, "")]
    assert read(padded) == read(reply)


def test_hundreds_of_random_cuts() -> None:
    for reply in [*OBJECTS.values(), *(reply for reply, _, _ in NEARLY.values())]:
        whole = read([reply])[1]
        dice = random.Random(reply.encode("utf-8", "surrogatepass"))
        for _ in range(60):
            end = read(cut(reply, dice.choices(range(len(reply) + 1), k=dice.randint(0, 25))))[1]
            assert end.values == whole.values


def calls_made(pieces: Sequence[str]) -> int:
    """How many Python and built-in calls reading takes: a count, so no clock is needed."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    reader = JSONReader(NAMES)
    sys.setprofile(note)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
    finally:
        sys.setprofile(None)
    return count


FILLERS = {
    "text": ('{"answer": "', "word ", '"}'),
    "escapes": ('{"answer": "', '\\n\\"', '"}'),
    "halves": ('{"answer": "', "\\ud83d", '"}'),
    "numbers": ('{"b": [', "1.5, ", "0]}"),
    "one number": ('{"b": ', "7", "}"),
    "brackets": ('{"b": [', "[", ""),
    "keys": ('{"answer": "x"', ', "b": 1', "}"),
    "a long key": ('{"', "key", '": 1}'),
    "prose": ("", '{ "word" ', '{"answer": "x"}'),
    "no object": ("", "{word ", ""),
    "blanks": ('{"answer":', " \n", '"x"}'),
}


@pytest.mark.parametrize(("begin", "filler", "end"), FILLERS.values(), ids=FILLERS)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_work_grows_with_the_text_and_not_faster(begin: str, filler: str, end: str, size: int) -> None:
    """Twice the text takes twice the calls, however it is cut."""
    counts = []
    for length in (2_000, 4_000):
        text = begin + filler * (length // len(filler)) + end
        counts.append(calls_made([text[at : at + size] for at in range(0, len(text), size)]))
    assert counts[1] < 2.2 * counts[0] + 100


@pytest.mark.parametrize("size", [4, 1 << 30])
def test_a_megabyte(size: int) -> None:
    """Ends within the test's time limit only when the work is linear."""
    body = ('lorem "ipsum" {dolor}\n\\' * 50_000)[: 512 * 1024]
    value = {"answer": body, "b": ["x" * 100] * 5_000}
    reply = json.dumps(value)
    reader = JSONReader(NAMES)
    for at in range(0, len(reply), size):
        reader.feed(reply[at : at + size])
    assert reader.finish().values == value


@pytest.mark.parametrize("unit", ['{"', "{ ", "'", "“:", '{"answer": 1, ', "{'answer': "])
def test_degenerate_replies_end(unit: str) -> None:
    """json-repair takes time in the square of some texts; it is stopped then."""
    read([unit * 4_000])
