"""The chat adapter: each field under a marker of its own, `[[ ## field ## ]]`, `[[ ## completed ## ]]` at the end.

The form of the markers is DSPy's; the wording of the prompt is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lmstream_sync.adapters.base import Adapter, texts_of_absent_fields
from lmstream_sync.adapters.field_text import FieldText
from lmstream_sync.adapters.markers import COMPLETED, MarkerScanner, marker
from lmstream_sync.adapters.prompts import PromptAdapter
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, Finished
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.notes import field_note, type_name
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.signatures.values import format_value

__all__ = ["ChatAdapter", "ChatReader"]


class ChatAdapter(PromptAdapter):
    """Writes prompts with a marker line before each field, and reads replies of the same form.

    In a reply a marker counts only at the beginning of a line and only when it names an
    output field that was not there yet, or `completed`; any other is text. White space at
    both ends of a field is dropped; inside, every character stays.

    Args:
        callbacks, use_native_function_calling, native_response_types: see `Adapter`.
        use_json_adapter_fallback: where a reply does not parse, ask once more, by `JSONAdapter`.
    """

    def __init__(
        self,
        callbacks: Sequence[Any] | None = None,
        use_native_function_calling: bool | None = None,
        native_response_types: Sequence[type] | None = None,
        use_json_adapter_fallback: bool = True,
    ) -> None:
        super().__init__(callbacks, use_native_function_calling, native_response_types)
        self.use_json_adapter_fallback = use_json_adapter_fallback

    def reader(self, signature: SignatureMeta) -> ChatReader:
        """A fresh reader for one reply."""
        return ChatReader(signature.output_fields, texts_of_absent_fields(signature))

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values; fields without one are left out."""
        return f"{_sections(signature.output_fields, values)}\n\n{marker(COMPLETED)}\n".lstrip("\n")

    def form(self, signature: SignatureMeta) -> str:
        """Every field under its marker, and the last one."""
        fields = [f"{marker(name)}\n{_placeholder(field)}" for name, field in signature.fields.items()]
        return (
            "Each field, given or answered, stands under its own marker line, in exactly this form:\n\n"
            + "\n\n".join([*fields, marker(COMPLETED)])
        )

    def question(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """Each input that has a value under its marker."""
        return _sections(signature.input_fields, values)

    def reminder(self, signature: SignatureMeta) -> str:
        """The markers in their order."""
        order = ", then ".join(
            f"`{marker(name)}`" + ("" if field.annotation is str else f" ({type_name(field.annotation)})")
            for name, field in signature.output_fields.items()
        )
        return f"Now answer: {order}, each with its value below it, and `{marker(COMPLETED)}` as the last line."

    def fallback(self) -> Adapter | None:
        """`JSONAdapter`, unless that was switched off."""
        if not self.use_json_adapter_fallback:
            return None
        # Here, as most programs never need it, and what it imports is not for the event loop.
        from lmstream_sync.adapters.json_adapter import JSONAdapter

        return JSONAdapter(self.callbacks, self.use_native_function_calling, self.native_response_types)


def _sections(fields: Mapping[str, Field], values: Mapping[str, Any]) -> str:
    """Those fields that have a value, each under its marker."""
    return "\n\n".join(
        f"{marker(name)}\n{format_value(field, values[name])}" for name, field in fields.items() if name in values
    )


def _placeholder(field: Field) -> str:
    """What stands for a field's value where the form is shown."""
    note = field_note(field) if field.kind == "output" else ""
    return f"{{{field.name}}}" + (f"    # {note}" if note else "")


class ChatReader:
    """Reads one reply: text in, deltas of output fields out.

    Args:
        names: the output fields.
        absent: the fields that a reply may lack, with the text each has then, or what makes it.
    """

    def __init__(self, names: Iterable[str], absent: Mapping[str, str | Callable[[], Any]] | None = None) -> None:
        self._unseen = dict.fromkeys(names)
        self._absent = dict(absent or {})
        self._scanner = MarkerScanner([*self._unseen, COMPLETED])
        self._name = ""
        #: The open field, or `None` before the first marker and after the last.
        self._open: FieldText | None = None
        self._fields: dict[str, str] = {}

    def feed(self, text: str) -> list[FieldEvent]:
        """Take one piece; give at most one delta for each field that it touches."""
        deltas: list[FieldEvent] = []
        begin = 0
        for found in self._scanner.scan(text):
            # A marker that began in an earlier piece leaves nothing of this one to the field.
            self._close(text[begin : found.begin] if found.begin >= 0 else None, deltas)
            self._begin(found.name)
            begin = found.end
        if self._open is not None and begin < len(text):
            given = self._open.add(text[begin:], self._scanner.partial)
            if given:
                deltas.append(FieldDelta(self._name, given, False))
        return deltas

    def finish(self) -> Finished:
        """The reply is over: a marker that is not complete is text; absent fields get their one delta."""
        deltas: list[FieldEvent] = []
        self._close("", deltas)
        for name in self._unseen:
            if name in self._absent:
                text = self._absent[name]
                if not isinstance(text, str):
                    made = text()
                    text = made if isinstance(made, str) else ""
                    if isinstance(made, str):
                        self._fields[name] = made  # the value is this one, and not made a second time
                deltas.append(FieldDelta(name, text, True))
        self._unseen.clear()
        return Finished(deltas, dict(self._fields))

    def _begin(self, name: str) -> None:
        """A marker opens its field, or ends the reply."""
        if name in self._unseen:
            del self._unseen[name]
            self._name, self._open = name, FieldText()
            if name != COMPLETED:
                self._scanner.drop(name)

    def _close(self, rest: str | None, deltas: list[FieldEvent]) -> None:
        """The open field ends, after the rest of its text where some is in this piece."""
        field, self._open = self._open, None
        if field is not None:
            given = field.add(rest) if rest is not None else ""
            deltas.append(FieldDelta(self._name, given + field.close(), True))
            self._fields[self._name] = field.text()
