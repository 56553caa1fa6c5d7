"""The laws of readers as checks, and the cases that they are checked with.

A case is an adapter and a number; the number alone makes signature, values, noise and cuts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lmstream_sync.adapters import Adapter, ChatAdapter, JSONAdapter, XMLAdapter
from lmstream_sync.adapters.reader import FieldDelta, FieldRestart, Finished, Reader
from lmstream_sync.errors import AdapterParseError
from tests.adapters import chat_noise, generators, json_noise, json_oracle, noise, oracle, xml_noise, xml_oracle
from tests.adapters.cutting import at_random
from tests.adapters.generators import Absent, Shape
from tests.adapters.noise import Written

#: After so many of a reply's pieces, what is out is compared with the oracle.
MOMENTS = 30


class Case(NamedTuple):
    """What one number makes."""

    adapter: Adapter
    of: Shape
    written: Written
    dice: random.Random


def chat(number: int) -> Case:
    return _case("chat", ChatAdapter(), chat_noise.chat, noise.cut_off, number)


def xml(number: int) -> Case:
    return _case("xml", XMLAdapter(), xml_noise.xml, noise.cut_off, number)


def json(number: int) -> Case:
    return _case("json", JSONAdapter(), json_noise.json_object, json_noise.broken_json, number)


def _case(
    kind: str,
    adapter: Adapter,
    write: Callable[[Adapter, random.Random, Shape, dict[str, Any]], Written],
    spoil: Callable[[random.Random, Written], Written],
    number: int,
) -> Case:
    dice = random.Random(f"{kind} {number}")
    of = generators.shape(dice.randrange(generators.SIGNATURES))
    values = generators.values(dice, of)
    if kind == "json" and dice.random() < 0.03:
        # Halves of pairs by themselves: JSON can say them, in escapes.
        values = {
            name: value + "\ud83d" + (value[:2] or "x") + "\ude00\udc00" if of.fields[name].text else value
            for name, value in values.items()
        }
    written = write(adapter, dice, of, values)
    return Case(adapter, of, spoil(dice, written) if number % 5 == 4 else written, dice)


CASES: dict[str, Callable[[int], Case]] = {"chat": chat, "xml": xml, "json": json}


class Stream:
    """What a listener of a reader has, event by event; breaks at once where a law is broken."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        #: Name → text since the last restart, and whether the last mark came.
        self.fields: dict[str, tuple[str, bool]] = {}
        self.restarts = 0

    def feed(self, piece: str) -> None:
        self._take(self._reader.feed(piece))

    def finish(self, absent: Mapping[str, Absent]) -> Finished:
        finished = self._reader.finish()
        self._take(finished.deltas)
        assert all(closed for _, closed in self.fields.values()), "one last mark closes each field"
        for name, (text, _) in self.fields.items():
            # What stands for an absent field streams, and is in the value.
            came_back = finished.fields.get(name, absent[name].text if name in absent else None)
            assert text == came_back, f"what was streamed of {name} is what came back"
        assert finished.fields.keys() <= self.fields.keys() >= absent.keys(), "every field that came back was streamed"
        return finished

    def _take(self, events: Sequence[object]) -> None:
        touched: set[str] = set()
        for event in events:
            if isinstance(event, FieldRestart):
                assert event.field in self.fields, "a restart of what was not given yet"
                assert event.reason
                assert event.field not in touched, "given once where it begins anew in the same piece"
                self.fields[event.field] = ("", False)
                self.restarts += 1
                continue
            assert isinstance(event, FieldDelta)
            text, closed = self.fields.get(event.field, ("", False))
            assert not closed, "nothing after the last mark"
            assert event.text or event.last, "an empty delta only to close"
            assert event.field not in touched, "one delta a field and piece"
            touched.add(event.field)
            self.fields[event.field] = (text + event.text, event.last)


def read(case: Case, pieces: Iterable[str]) -> Finished:
    """Read a reply in these pieces."""
    stream = Stream(case.adapter.new_reader(case.of.signature))
    for piece in pieces:
        stream.feed(piece)
    return stream.finish(case.of.absent)


def check(case: Case, lag: bool) -> None:
    """Everything that holds of a case; `lag`: also that nothing is kept back too long."""
    written = case.written
    whole = read(case, [written.reply])
    if written.texts is not None:
        found = {
            name: text for name, text in whole.fields.items() if name in written.texts or name not in case.of.absent
        }
        assert found == written.texts, "the text of each field"
    expected = _by_oracle(case)
    if expected is not None:
        found = {name: text for name, text in whole.fields.items() if name in expected or name not in case.of.absent}
        assert found == expected, "the text of each field, as the oracle has it"
    way, pieces = at_random(case.dice, written.reply)
    cut = read(case, pieces)
    assert cut.fields == whole.fields, f"the same fields whatever the cut (here: {way})"
    assert repr(cut.values) == repr(whole.values), f"the same values whatever the cut (here: {way})"
    check_values(case, cut)
    if lag:
        check_lag(case)


def check_values(case: Case, finished: Finished) -> None:
    """The values are those that the reply was made of; where it is spoilt, there may be an error of our own."""
    expected = case.written.values
    try:
        found = case.adapter.values(case.of.signature, finished, case.written.reply)
    except AdapterParseError:
        if expected is not None:
            raise
        return
    for name, text in finished.fields.items():
        assert not case.of.fields[name].text or found[name] == text, "a text is its value"
    if expected is None:
        return
    absent = {name: case.of.absent[name].value for name in case.of.fields if name not in expected}
    assert found == {**expected, **absent}, "the values"
    assert all(type(found[name]) is type(value) for name, value in expected.items()), "the types of the values"


def _by_oracle(case: Case) -> dict[str, str] | None:
    names = list(case.of.fields)
    if isinstance(case.adapter, ChatAdapter):
        return oracle.fields(case.written.reply, names)
    if isinstance(case.adapter, XMLAdapter):
        return xml_oracle.fields(case.written.reply, names)
    return None


def check_lag(case: Case) -> None:
    """Whatever the law does not keep back is out at once; fed a character at a time, else in pieces."""
    written = case.written
    names = list(case.of.fields)
    if isinstance(case.adapter, JSONAdapter) and written.spans is None:
        return
    pieces = list(written.reply) if case.dice.random() < 0.6 else at_random(case.dice, written.reply)[1]
    stream = Stream(case.adapter.new_reader(case.of.signature))
    moments = set(case.dice.choices(range(1, len(pieces) + 1), k=MOMENTS)) if len(pieces) > MOMENTS else None
    length = 0
    for number, piece in enumerate(pieces, 1):
        stream.feed(piece)
        length += len(piece)
        if moments is not None and number not in moments:
            continue
        must: Mapping[str, tuple[str, bool]]
        if isinstance(case.adapter, ChatAdapter):
            must = oracle.given(pieces[:number], names)
        elif isinstance(case.adapter, XMLAdapter):
            must = xml_oracle.given(pieces[:number], names)
        else:
            must = json_oracle.given(written.reply, written.spans or [], length)
        shown = {name: state for name, state in must.items() if state != ("", False)}
        given = {name: state for name, state in stream.fields.items() if state != ("", False)}
        assert given == shown, f"what is out after {length} characters"
