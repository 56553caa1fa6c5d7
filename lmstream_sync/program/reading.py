"""Reads a model's reply with the adapter's reader, while it comes or all at once.

The same reader either way, so what streams and what comes back cannot differ. What a model
gives beside its text is read by `native`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldRestart, Finished
from lmstream_sync.errors import AdapterParseError, ConfigurationError
from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.program.native import NativeField
from lmstream_sync.program.observing import RunObserver
from lmstream_sync.signatures import SignatureMeta, outputs_of
from lmstream_sync.signatures.remembered import remembered

__all__ = ["ChoiceRead", "Reading", "ReplyTap"]

#: Replies whose reading is remembered: of each signature so many, and none with more characters.
_MOST, _LONGEST = 64, 20_000


@dataclass(slots=True)
class Reading:
    """How the replies to one request are read. Never changed; not frozen, as that takes long to make.

    Attributes:
        adapter: reads the text.
        signature: the run's.
        asked: what the prompt asks for: the same without fields that are not answered by text.
        natives: output field → how it is read beside the text.
        calls_functions: the model may call tools beside its text, or in the place of it.
    """

    adapter: Adapter
    signature: SignatureMeta
    asked: SignatureMeta
    natives: Mapping[str, type[NativeField]]
    calls_functions: bool = False

    def whole(self, choice: Choice) -> ChoiceRead:
        """A whole answer. A text that comes again, as a cache gives it, is not read again."""
        if not self.natives and not self.calls_functions and len(choice.text) <= _LONGEST:
            again = _reads_again(self.asked)
            if again is not None:
                read = again.get(type(self.adapter))
                if read is None and self.adapter.reads_purely():
                    read = again.setdefault(type(self.adapter), lru_cache(_MOST)(partial(_text_read, self)))
                if read is not None:
                    return read(choice.text)
        return self._read(choice)

    def _read(self, choice: Choice) -> ChoiceRead:
        reading = _ChoiceReading(self)
        if choice.text:
            reading.reader.feed(choice.text)
        return reading.finish(choice)[1]

    def values(self, read: ChoiceRead, choice: Choice) -> tuple[dict[str, Any], dict[str, str]]:
        """The values of an answer's fields, and their texts.

        Raises:
            AdapterParseError: the reply lacks a field, or a field does not fit its type, or the
                model refused to answer.
        """
        if choice.refusal and not choice.text:
            name = type(self.adapter).__name__
            raise AdapterParseError(
                f"the model refused to answer: {choice.refusal}", adapter_name=name, refusal=choice.refusal
            )
        texts = dict(read.finished.fields)
        signature = without(self.asked, read.beside) if read.beside else self.asked
        if choice.tool_calls and self.calls_functions:
            # A model that calls tools may leave out the rest.
            signature = without(signature, [name for name in signature.output_fields if not texts.get(name)])
        found = self.adapter.values(signature, read.finished, choice.text) if outputs_of(signature) else {}
        for name, (value, text) in read.beside.items():
            found[name], texts[name] = value, text
        fields = outputs_of(self.signature)
        if not read.beside and texts.keys() == fields.keys() and list(found) == list(fields):  # nearly always
            return found, texts
        values: dict[str, Any] = {}
        for name, field in fields.items():
            values[name] = found.get(name, "" if field.annotation is str else None)
        return values, {name: texts[name] for name in values if name in texts}


class ChoiceRead(NamedTuple):
    """One answer, read.

    Attributes:
        finished: what the text gave.
        beside: field → value and text, of those that the model gave beside the text.
    """

    finished: Finished
    beside: Mapping[str, tuple[Any, str]]


@remembered
def _reads_again(signature: SignatureMeta) -> dict[type[Adapter], Callable[[str], ChoiceRead]] | None:
    """By kind of adapter what reads a text and remembers it; `None` where a reading cannot be given twice.

    That is one with values that a user could change, or with a text that a factory makes for this
    reply alone.
    """
    fields = outputs_of(signature).values()
    return {} if all(field.annotation is str and field.default_factory is None for field in fields) else None


def _text_read(how: Reading, text: str) -> ChoiceRead:
    return how._read(Choice(text))


def without(signature: SignatureMeta, names: Iterable[str]) -> SignatureMeta:
    """A signature without some of its fields."""
    left: Any = signature
    for name in names:
        if name in left.fields:
            left = left.delete(name)
    found: SignatureMeta = left
    return found


_NONE: Final[Mapping[str, NativeField]] = MappingProxyType({})

#: What was given beside the text, where nothing was.
_NOTHING_BESIDE: Final[Mapping[str, tuple[Any, str]]] = MappingProxyType({})


class _ChoiceReading:
    """Reads one answer of a reply, piece by piece."""

    __slots__ = ("_asked", "_by_text", "_calls_functions", "_natives", "reader", "reads_text_alone")

    def __init__(self, how: Reading) -> None:
        self.reader = how.adapter.new_reader(how.asked)
        self._asked = outputs_of(how.asked)
        self._calls_functions = how.calls_functions
        #: Empty where the reply is nothing but text, as most are.
        self._natives: Mapping[str, NativeField] = _NONE
        #: Whether nothing that a model gives beside its text is read.
        self.reads_text_alone = not how.natives
        if how.natives:
            fields = outputs_of(how.signature)
            self._natives = {name: kind(fields[name]) for name, kind in how.natives.items()}
            #: Native fields of which the text has given something.
            self._by_text: set[str] = set()

    def feed(self, delta: Delta) -> Sequence[FieldEvent]:
        """What a piece has for the fields."""
        if not self._natives:
            return self.reader.feed(delta.content) if delta.content else ()
        events: list[FieldEvent] = []
        for name, native in self._natives.items():
            given = native.feed(delta)
            if given and name in self._by_text:
                # What a model gives beside its text wins over what the text says of it.
                self._by_text.discard(name)
                events.append(FieldRestart(name, "the model gave it beside its text"))
            events += given
        if delta.content:
            events += self._told(self.reader.feed(delta.content))
        return events

    def finish(self, choice: Choice) -> tuple[list[FieldEvent], ChoiceRead]:
        """The answer is over: what was held back, and what there is in all."""
        finished = self.reader.finish()
        if not isinstance(finished, Finished):
            raise ConfigurationError(
                f"{type(self.reader).__name__}.finish() must give a Finished, not {finished!r:.80}"
            )
        if self._calls_functions:
            finished = self._beside_calls(finished, choice)
        if not self._natives:
            return finished.deltas, ChoiceRead(finished, _NOTHING_BESIDE)
        events = self._told(finished.deltas)
        beside: dict[str, tuple[Any, str]] = {}
        for name, native in self._natives.items():
            if not native.gives_value:
                events += native.finish(None)
                continue
            value = native.value(choice)
            if value is None and (native.begun or name not in self._asked):
                value = native.empty()
            elif value is None:
                continue  # the text has it, or lacks it
            if name in self._by_text:
                events.append(FieldRestart(name, "the model gave it beside its text"))
            events += native.finish(value)
            beside[name] = (value, native.text(value))
        return events, ChoiceRead(finished, beside)

    def _beside_calls(self, finished: Finished, choice: Choice) -> Finished:
        """The text beside calls of tools: models leave the form out there, or all of the text.

        Then plain text is the first field of text, and the others are empty.
        """
        deltas, fields = list(finished.deltas), dict(finished.fields)
        plain = choice.text.strip()
        first = next((name for name, field in self._asked.items() if field.annotation is str), None)
        if plain and not fields and first is not None:
            deltas = [each for each in deltas if each.field != first]
            deltas.append(FieldDelta(first, plain, True))
            fields[first] = plain
        elif choice.tool_calls:
            closed = {each.field for each in deltas} | fields.keys()
            for name in self._asked:
                if name not in closed and name not in self._natives:
                    deltas.append(FieldDelta(name, "", True))
        return finished._replace(deltas=deltas, fields=fields)

    def _told(self, events: Sequence[FieldEvent]) -> list[FieldEvent]:
        """What the text gives, without fields that are given beside it."""
        told: list[FieldEvent] = []
        for event in events:
            native = self._natives.get(event.field)
            if native is not None and (native.begun or not native.gives_value):
                continue
            if native is not None:
                self._by_text.add(event.field)
            told.append(event)
        return told


class ReplyTap:
    """A tap that reads each answer of a reply as it comes, and shows the first to an observer.

    Args:
        how: how they are read.
        observer: sees the pieces and the fields' events.
    """

    __slots__ = ("_first", "_how", "_observer", "_others", "_read", "wants_raw")

    def __init__(self, how: Reading, observer: RunObserver) -> None:
        #: Whether the pieces must bear the provider's own object: an engine may have to make it.
        self.wants_raw = observer.wants_raw
        if how.natives and not self.wants_raw:
            self.wants_raw = any(native.reads_raw for native in how.natives.values())
        self._how = how
        self._observer = observer
        #: The reading of the answer that the observer sees, and those of others (`n` above 1).
        self._first: _ChoiceReading | None = None
        self._others: dict[int, _ChoiceReading] | None = None
        self._read: dict[int, ChoiceRead] | None = None

    def feed(self, deltas: Sequence[Delta]) -> Awaitable[None] | None:
        """Pieces arrived. Those of other answers than the first are seen raw, without fields."""
        observer = self._observer
        if observer.wants_raw:
            for delta in deltas:
                fields = self._reading(delta.index).feed(delta)
                observer.saw(delta, fields if delta.index == 0 else ())
        else:
            seen: list[FieldEvent] = []
            first = self._first or self._reading(0)
            # Straight to the reader where a piece can have nothing but text for it: this is run for every piece.
            read = first.reader.feed if first.reads_text_alone else None
            for delta in deltas:
                if delta.index != 0:
                    self._reading(delta.index).feed(delta)
                elif read is None:
                    seen += first.feed(delta)
                elif delta.content:
                    seen += read(delta.content)
            if not seen:
                return None
            observer.saw(None, seen)
        return observer.flush()

    async def end(self, reply: Reply) -> None:
        """The reply ended well: hand out what the readers held back."""
        self._read = {}
        for place, choice in enumerate(reply.choices):
            events, self._read[choice.index] = self._reading(choice.index).finish(choice)
            if choice.index == 0:
                self._observer.saw(None, events)
            elif place == 0 and choice.index > 0:  # a provider that counts from 1: all of it, now that this is known
                late = _ChoiceReading(self._how)
                seen = [*late.feed(Delta(choice.text))] if choice.text else []
                self._observer.saw(None, seen + late.finish(choice)[0])
        waiting = self._observer.flush()
        if waiting is not None:
            await waiting

    def read(self, choice: Choice) -> ChoiceRead | None:
        """An answer as it was read; `None` where the reply did not come this way (a cache hit)."""
        return self._read.get(choice.index) if self._read is not None else None

    def _reading(self, index: int) -> _ChoiceReading:
        if index == 0:
            if self._first is None:
                self._first = _ChoiceReading(self._how)
            return self._first
        if self._others is None:
            self._others = {}
        if index not in self._others:
            self._others[index] = _ChoiceReading(self._how)
        return self._others[index]
