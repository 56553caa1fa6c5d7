"""The chat adapter: each field under a marker of its own, `[[ ## field ## ]]`, `[[ ## completed ## ]]` at the end.

The form of the markers is DSPy's; the wording of the prompt is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lmstream_sync.adapters.absent import deltas_of_absent_fields, texts_of_absent_fields
from lmstream_sync.adapters.fallback import AdapterWithFallback
from lmstream_sync.adapters.field_text import FieldText
from lmstream_sync.adapters.markers import COMPLETED, MarkerScanner, marker, sections
from lmstream_sync.adapters.prompts import placeholder
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, Finished
from lmstream_sync.signatures.notes import type_name
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.signature import SignatureMeta, inputs_of, outputs_of

__all__ = ["ChatAdapter", "ChatReader"]

# A named tuple without a call of Python's: there is one for every piece.
_made = tuple.__new__


class ChatAdapter(AdapterWithFallback):
    """Writes prompts with a marker line before each field, and reads replies of the same form.

    In a reply a marker counts only at the beginning of a line and only when it names an
    output field that was not there yet, or `completed`; any other is text. White space at
    both ends of a field is dropped; inside, every character stays.

    Args:
        callbacks, use_native_function_calling, native_response_types, parallel_tool_calls: see `Adapter`.
        use_json_adapter_fallback: see `AdapterWithFallback`.
    """

    pure_reader = True

    def reader(self, signature: SignatureMeta) -> ChatReader:
        """A fresh reader for one reply."""
        return ChatReader(outputs_of(signature), texts_of_absent_fields(signature))

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values; fields without one are left out."""
        return f"{sections(signature.output_fields, values)}\n\n{marker(COMPLETED)}\n".lstrip("\n")

    def form(self, signature: SignatureMeta) -> str:
        """Every field under its marker, and the last one."""
        return _form(signature)

    def question(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """Each input that has a value under its marker."""
        return sections(inputs_of(signature), values)

    def reminder(self, signature: SignatureMeta) -> str:
        """The markers in their order."""
        return _reminder(signature)


@remembered
def _form(signature: SignatureMeta) -> str:
    fields = [f"{marker(name)}\n{placeholder(field)}" for name, field in signature.fields.items()]
    return "Each field, given or answered, stands under its own marker line, in exactly this form:\n\n" + "\n\n".join(
        [*fields, marker(COMPLETED)]
    )


@remembered
def _reminder(signature: SignatureMeta) -> str:
    order = ", then ".join(
        f"`{marker(name)}`" + ("" if field.annotation is str else f" ({type_name(field.annotation)})")
        for name, field in signature.output_fields.items()
    )
    return f"Now answer: {order}, each with its value below it, and `{marker(COMPLETED)}` as the last line."


class ChatReader:
    """Reads one reply: text in, deltas of output fields out.

    Args:
        names: the output fields.
        absent: the fields that a reply may lack, with the text each has then, or what makes it.
    """

    __slots__ = ("_absent", "_fields", "_held", "_name", "_open", "_scanner", "_unseen")

    def __init__(self, names: Iterable[str], absent: Mapping[str, str | Callable[[], Any]] | None = None) -> None:
        self._unseen = dict.fromkeys(names)
        self._absent = absent
        self._scanner = MarkerScanner([*self._unseen, COMPLETED])
        self._name = ""
        #: The open field, or `None` before the first marker and after the last.
        self._open: FieldText | None = None
        #: Pieces that may be all of a marker's beginning: text of the open field if they are not.
        self._held: list[str] | None = None
        self._fields: dict[str, str] = {}

    def feed(self, text: str) -> list[FieldEvent]:
        """Take one piece; give at most one delta for each field that it touches."""
        field, scanner = self._open, self._scanner
        if not scanner.at_line_start:
            if field is not None and "\n" not in text:
                given = field.add(text)  # what most pieces are
                return [_made(FieldDelta, (self._name, given, False))] if given else []
        elif scanner.goes_on(text):
            if self._held is None:
                self._held = []
            self._held.append(text)
            return []
        deltas: list[FieldEvent] = []
        if scanner.partial and (name := scanner.ends(text)):
            self._close(None, deltas)
            self._begin(name)
            return deltas
        begin = 0
        for found in scanner.scan(text):
            # A marker that began in an earlier piece leaves nothing of this one to the field.
            self._close(text[begin : found.begin] if found.begin >= 0 else None, deltas)
            self._begin(found.name)
            begin = found.end
        if begin < len(text):
            given = self._add(text[begin:], scanner.partial)
            if given:
                deltas.append(FieldDelta(self._name, given, False))
        return deltas

    def finish(self) -> Finished:
        """The reply is over: a marker that is not complete is text; absent fields get their one delta."""
        deltas: list[FieldEvent] = []
        self._close("", deltas)
        if self._unseen and self._absent:
            deltas += deltas_of_absent_fields(self._unseen, self._absent, self._fields)
        self._unseen.clear()
        return Finished(deltas, dict(self._fields))

    def _begin(self, name: str) -> None:
        """A marker opens its field, or ends the reply."""
        if name in self._unseen:
            del self._unseen[name]
            self._name, self._open = name, FieldText()
            if name != COMPLETED:
                self._scanner.drop(name)

    def _add(self, text: str, partial: str = "") -> str:
        """What the field that is open gives of its text, and of the pieces before that are no marker after all."""
        held, self._held = self._held, None
        field = self._open
        if field is None:
            return ""
        given = "".join([field.add(piece) for piece in held]) if held else ""
        return given + field.add(text, partial)

    def _close(self, rest: str | None, deltas: list[FieldEvent]) -> None:
        """The open field ends, after the rest of its text where some is in this piece."""
        given = self._add(rest) if rest is not None else ""
        self._held = None
        field, self._open = self._open, None
        if field is not None:
            deltas.append(FieldDelta(self._name, given + field.close(), True))
            self._fields[self._name] = field.text()
