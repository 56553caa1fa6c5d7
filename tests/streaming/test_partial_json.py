"""The pure parts under `granularity`: JSON read while it comes, the value that grows, the items of a list."""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lmstream_sync.streaming.partial_items import PartialItems
from lmstream_sync.streaming.partial_json import END, NEXT, SCALAR, TEXT, PartialJSON
from lmstream_sync.streaming.partial_value import PartialValue, is_beginning_of

LETTERS = 'ab "\\/\n\t\r\x00\x1f\u2028é한😀[]{},:0-"\\ud83d'
CASES = 2500


def random_text(random_: random.Random) -> str:
    return "".join(random_.choice(LETTERS) for _ in range(random_.randrange(10)))


def random_value(random_: random.Random, depth: int = 0) -> Any:
    kind = random_.randrange(9 if depth < 5 else 7)
    if kind == 0:
        return random_.choice([True, False, None])
    if kind == 1:
        return random_.choice([0, -1, -0.0, 1e300, 5e-324, random_.random(), random_.randrange(10**25)])
    if kind < 7:
        return random_text(random_)
    return random_container(random_, depth + 1)


def random_container(random_: random.Random, depth: int = 0) -> Any:
    if random_.random() < 0.5:
        return [random_value(random_, depth) for _ in range(random_.randrange(5))]
    return {random_text(random_): random_value(random_, depth) for _ in range(random_.randrange(5))}


def random_cut(random_: random.Random, text: str) -> list[str]:
    if random_.random() < 0.3:
        return list(text)
    places = sorted(random_.randrange(len(text) + 1) for _ in range(random_.randrange(12)))
    return [text[a:b] for a, b in itertools.pairwise([0, *places, len(text)])]


def built(pieces: list[str]) -> tuple[PartialJSON, Any]:
    reader, value = PartialJSON(), PartialValue()
    for piece in pieces:
        value.apply(reader.feed(piece))
    return reader, value.value


def test_random_values_come_back_for_random_cuts() -> None:
    random_ = random.Random(3)
    for _ in range(CASES):
        text = json.dumps(
            random_container(random_), ensure_ascii=random_.random() < 0.5, indent=random_.choice([None, 1])
        )
        reader, value = built(random_cut(random_, text))
        assert value == json.loads(text)
        assert repr(value) == repr(json.loads(text))  # 1 is not 1.0, and True is neither
        assert reader.exact and reader.complete


TRICKY = (
    '\n {"k\\"\\u00e9": ["\\ud83d\\ude00", "\\ud83d", "\\ud83d\\n", "\\\\ud83d", -1.5e-3, 0, true, [], {}, ""], '
    '"k": null}\t'
)


def test_every_cut_in_two_and_in_three() -> None:
    want = json.loads(TRICKY)
    for a in range(len(TRICKY)):
        assert built([TRICKY[:a], TRICKY[a:]])[1] == want
        for b in range(a, len(TRICKY), 3):
            assert built([TRICKY[:a], TRICKY[a:b], TRICKY[b:]])[1] == want


def test_the_operations_do_not_depend_on_the_cut() -> None:
    def joined(pieces: list[str]) -> list[Any]:
        reader = PartialJSON()
        done: list[Any] = []
        for code, what in itertools.chain.from_iterable(map(reader.feed, pieces)):
            if code == TEXT and done and done[-1][0] == SCALAR:
                done[-1] = (SCALAR, done[-1][1] + what)
            else:
                done.append((code, what))
        return done

    for text in [TRICKY, '["a", "b\\x"]', "[1, 02]", '["\\u12g4"]', "{'a': 1}", "[1 /* c */, 2]", '{"a" 1}', "[nul]"]:
        assert joined(list(text)) == joined([text])


def test_a_value_grows_and_never_shows_what_is_not_certain() -> None:
    random_ = random.Random(7)
    for _ in range(300):
        text = json.dumps(random_container(random_))
        whole = json.loads(text)
        reader, value = PartialJSON(), PartialValue()
        for sign in text:
            value.apply(reader.feed(sign))
            assert value.value is None or is_beginning_of(value.value, whole)


def shown(text: str) -> Any:
    return built(list(text))[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[", []),
        ('{"na', {}),
        ('{"name"', {}),
        ('{"name":', {}),
        ('{"name": "', {"name": ""}),
        ('{"name": "Ad', {"name": "Ad"}),
        ('{"name": "Ad\\', {"name": "Ad"}),
        ('{"name": "Ad\\u00e', {"name": "Ad"}),
        ('{"name": "Ad\\u00e9', {"name": "Adé"}),
        ('{"name": "\\ud83d\\ude0', {"name": ""}),
        ('{"n": 12', {}),
        ('{"n": 12,', {"n": 12}),
        ("[tru", []),
        ("[true ", [True]),
        ('[[1, {"a": [2,', [[1, {"a": [2]}]]),
        ('{"a": 1, "a": "x', {"a": "x"}),
    ],
)
def test_what_shows_of_a_beginning(text: str, value: Any) -> None:
    assert shown(text) == value


def test_the_value_is_one_object() -> None:
    reader, value = PartialJSON(), PartialValue()
    value.apply(reader.feed('{"a": [1'))
    first, inner = value.value, value.value["a"]
    value.apply(reader.feed(', 2], "b": "x'))
    value.apply(reader.feed('y"}'))
    assert value.value is first and first["a"] is inner and first == {"a": [1, 2], "b": "xy"}


@pytest.mark.parametrize("text", ["Here it is:\n```json\n[1]\n```", "[1] that is all", "The list [1]"])
def test_what_stands_around_is_passed_over_and_told(text: str) -> None:
    reader, value = built(list(text))
    assert value == [1] and reader.complete and not reader.exact


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, 2,]", [1, 2]),
        ('{"a": 1,}', {"a": 1}),
        ('["a\nb"]', ["a\nb"]),
        ("['a']", []),
        ("[1, // two\n2]", [1]),
        ('{"a": 1 "b": 2}', {"a": 1}),
        ("{a: 1}", {}),
        ("[NaN]", []),
        ("[01]", []),
        ("[1.]", []),
        ("[+1]", []),
        ("[True]", []),
        ('["\\x"]', [""]),
        ("[1}", [1]),
        ("[" + "9" * 10_000 + "]", []),
    ],
)
def test_what_is_no_json_is_told_and_ends_what_can_be_said(text: str, value: Any) -> None:
    for pieces in ([text], list(text)):
        reader, made = built(pieces)
        assert made == value and not reader.exact


def test_whatever_python_takes_is_exact_and_nothing_else_is() -> None:
    """Noise made of JSON's own signs: `exact` and `complete` if and only if `json.loads` takes it."""
    random_ = random.Random(11)
    valid = 0
    for _ in range(CASES):
        text = list(json.dumps(random_container(random_, 3)))
        for _ in range(random_.randrange(3)):
            text[random_.randrange(len(text))] = random_.choice('[]{},:"\\ 1e-.tn\x01')
        joined = "".join(text)
        try:
            want = json.loads(joined)
        except ValueError:
            want = None
        reader, value = built(random_cut(random_, joined))
        if isinstance(want, (list, dict)):
            valid += 1
            assert reader.exact and reader.complete and repr(value) == repr(want), joined
        else:
            assert not (reader.exact and reader.complete), joined
    assert CASES // 5 < valid < CASES


def test_deep_nesting_needs_no_recursion() -> None:
    depth = 50_000
    reader, value = built(["[" * depth, "]" * depth])
    assert reader.exact and reader.complete
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


# Items.


def items_of(pieces: list[str]) -> tuple[list[list[Any]], PartialItems]:
    items = PartialItems()
    return [items.feed(piece) for piece in pieces], items


def test_an_item_comes_with_the_comma_or_bracket_after_it() -> None:
    given, items = items_of(["[1", ", ", '"a', '"', "  ", ",[", "[2]]", "]"])
    assert given == [[], [1], [], [], [], ["a"], [], [[[2]]]]
    assert items.complete and items.ended_with_item and items.exact


@pytest.mark.parametrize(
    ("text", "items", "with_item"),
    [("[]", [], False), ("[1,]", [1], False), ("[1]", [1], True), ("[null]", [None], True), ("[[]]", [[]], True)],
)
def test_how_a_list_ends(text: str, items: list[Any], with_item: bool) -> None:
    given, reader = items_of(list(text))
    assert list(itertools.chain(*given)) == items and reader.ended_with_item is with_item and reader.complete


def test_items_joined_are_the_list_for_random_cuts() -> None:
    random_ = random.Random(5)
    for _ in range(CASES):
        whole = [random_value(random_, 3) for _ in range(random_.randrange(6))]
        given, items = items_of(random_cut(random_, json.dumps(whole)))
        assert list(itertools.chain(*given)) == whole
        assert items.complete and items.ended_with_item is bool(whole)


# Linear work.


def steps(work: Callable[[], Any]) -> int:
    """How many calls, of Python's own functions too, a piece of work makes."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def pieces_of(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def reply_of(length: int) -> str:
    half = length // 2
    return json.dumps({"text": ("word \u00e9 \n" * half)[:half], "list": [{"n": 1, "s": "x\ty"}] * (half // 24)})


def read_in(text: str, size: int) -> None:
    built(list(pieces_of(text, size)))


@pytest.mark.parametrize("size", [3, 50])
def test_a_hundred_times_the_text_is_a_hundred_times_the_work(size: int) -> None:
    short, long = reply_of(2_000), reply_of(200_000)
    ratio = steps(lambda: read_in(long, size)) / steps(lambda: read_in(short, size))
    assert ratio < 1.1 * len(long) / len(short)


def test_nothing_of_the_text_is_kept_but_an_escape_or_a_number() -> None:
    class Measured(PartialJSON):
        longest = 0

        def feed(self, text: str) -> list[Any]:
            given = super().feed(text)
            self.longest = max(self.longest, len(self._held), *(len(str(what)) for _, what in given), 0)
            return given

    reader = Measured()
    text = reply_of(300_000)
    for piece in pieces_of(text, 7):
        reader.feed(piece)
    assert reader.complete and reader.longest < 20


def test_a_string_that_grows_is_not_copied() -> None:
    """A copy of it a piece would move 160 GB, past this test's time-out."""
    value = PartialValue()
    reader = PartialJSON()
    value.apply(reader.feed('{"a": ["'))
    for _ in range(400_000):
        value.apply(reader.feed("ab"))
    assert len(value.value["a"][0]) == 800_000


# What may still become what.


@pytest.mark.parametrize(
    ("part", "whole", "may"),
    [
        ([], [1], True),
        ([1], [1, 2], True),
        ([1, 2], [1], False),
        ([2], [1, 2], False),
        (["a"], ["ab"], True),
        (["a", "b"], ["ab", "b"], False),
        ({}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"b": 2}, {"a": 1, "b": 2}, False),
        ({"a": {"b": "x"}}, {"a": {"b": "xy", "c": 1}}, True),
        ({"a": {"b": "x"}, "c": 1}, {"a": {"b": "xy"}, "c": 1}, False),
        ({"a": 1}, [1], False),
        ("a", "ab", True),
        (1, 1, True),
        (1, 2, False),
    ],
)
def test_what_a_value_may_become(part: Any, whole: Any, may: bool) -> None:
    assert is_beginning_of(part, whole) is may


def test_commas_of_the_outermost_list_alone_are_told() -> None:
    codes = [code for code, _ in PartialJSON().feed('[[1, 2], {"a": 1, "b": 2}]')]
    assert codes.count(NEXT) == 1 and codes[-1] == END
