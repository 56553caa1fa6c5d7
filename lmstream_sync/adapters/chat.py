"""The chat adapter: each field under a marker of its own, `[[ ## field ## ]]`, `[[ ## completed ## ]]` at the end.

The form of the markers is DSPy's; the wording of the prompt is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lmstream_sync.adapters.base import Adapter, texts_of_absent_fields
from lmstream_sync.adapters.field_text import FieldText
from lmstream_sync.adapters.markers import COMPLETED, MarkerScanner, marker
from lmstream_sync.adapters.reader import FieldDelta, Finished
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.notes import field_note, type_name
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.signatures.values import format_value

__all__ = ["ChatAdapter", "ChatReader"]

_DEMO_WITH_GAPS = "This example of the task is not complete: some of its fields are left out."
_LEFT_OUT = "(left out in this example)"


class ChatAdapter(Adapter):
    """Writes prompts with a marker line before each field, and reads replies of the same form.

    In a reply a marker counts only at the beginning of a line and only when it names an
    output field that was not there yet, or `completed`; any other is text. White space at
    both ends of a field is dropped; inside, every character stays.
    """

    def messages(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The system message, the demos as pairs of user and assistant, the inputs.

        A demo that lacks fields comes with a note, before the complete ones; one without any
        input or without any output says nothing and is left out.
        """
        with_gaps: list[dict[str, Any]] = []
        complete: list[dict[str, Any]] = []
        for demo in demos:
            given = {name for name in signature.fields if name in demo and demo[name] is not None}
            if len(given) == len(signature.fields):
                complete += self._demo(signature, demo)
            elif given & signature.input_fields.keys() and given & signature.output_fields.keys():
                with_gaps += self._demo(signature, demo, gaps=True)
        return [
            {"role": "system", "content": self._system(signature)},
            *with_gaps,
            *complete,
            {
                "role": "user",
                "content": f"{_sections(signature.input_fields, inputs)}\n\n{_reminder(signature)}".strip(),
            },
        ]

    def reader(self, signature: SignatureMeta) -> ChatReader:
        """A fresh reader for one reply."""
        return ChatReader(signature.output_fields, texts_of_absent_fields(signature))

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values; fields without one are left out."""
        return f"{_sections(signature.output_fields, values)}\n\n{marker(COMPLETED)}\n".lstrip("\n")

    def _system(self, signature: SignatureMeta) -> str:
        parts = []
        if signature.input_fields:
            parts.append(f"You are given:\n{_listed(signature.input_fields)}")
        parts.append(f"You answer with:\n{_listed(signature.output_fields)}")
        form = [
            f"{marker(name)}\n{_placeholder(field)}"
            for name, field in [*signature.input_fields.items(), *signature.output_fields.items()]
        ]
        parts.append(
            "Each field, given or answered, stands under its own marker line, in exactly this form:\n\n"
            + "\n\n".join([*form, marker(COMPLETED)])
        )
        parts.append(f"Your task:\n{signature.instructions}")
        return "\n\n".join(parts)

    def _demo(self, signature: SignatureMeta, demo: Mapping[str, Any], gaps: bool = False) -> list[dict[str, Any]]:
        """A demo as a question and its answer."""
        question = _sections(signature.input_fields, demo)
        answers = {
            name: demo[name] if name in demo and demo[name] is not None else _LEFT_OUT
            for name in signature.output_fields
        }
        return [
            {"role": "user", "content": f"{_DEMO_WITH_GAPS}\n\n{question}" if gaps else question},
            {"role": "assistant", "content": self.render(signature, answers)},
        ]


def _sections(fields: Mapping[str, Field], values: Mapping[str, Any]) -> str:
    """Those fields that have a value, each under its marker."""
    return "\n\n".join(
        f"{marker(name)}\n{format_value(field, values[name])}" for name, field in fields.items() if name in values
    )


def _listed(fields: Mapping[str, Field]) -> str:
    """The fields as a numbered list, with type, meaning and constraints."""
    lines = []
    for number, (name, field) in enumerate(fields.items(), 1):
        line = f"{number}. `{name}` ({type_name(field.annotation)})"
        if field.desc:
            line += f": {field.desc}"
        if notes := field.constraint_notes():
            line += f" [{', '.join(notes)}]"
        lines.append(line)
    return "\n".join(lines)


def _placeholder(field: Field) -> str:
    """What stands for a field's value where the form is shown."""
    note = field_note(field) if field.kind == "output" else ""
    return f"{{{field.name}}}" + (f"    # {note}" if note else "")


def _reminder(signature: SignatureMeta) -> str:
    """The form once more, at the end of the prompt, where models heed it best."""
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

    def __init__(self, names: Iterable[str], absent: Mapping[str, str | Callable[[], Any]] | None = None) -> None:
        self._unseen = dict.fromkeys(names)
        self._absent = dict(absent or {})
        self._scanner = MarkerScanner([*self._unseen, COMPLETED])
        self._name = ""
        #: The open field, or `None` before the first marker and after the last.
        self._open: FieldText | None = None
        self._fields: dict[str, str] = {}

    def feed(self, text: str) -> list[FieldDelta]:
        """Take one piece; give at most one delta for each field that it touches."""
        deltas: list[FieldDelta] = []
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
        deltas: list[FieldDelta] = []
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

    def _close(self, rest: str | None, deltas: list[FieldDelta]) -> None:
        """The open field ends, after the rest of its text where some is in this piece."""
        field, self._open = self._open, None
        if field is not None:
            given = field.add(rest) if rest is not None else ""
            deltas.append(FieldDelta(self._name, given + field.close(), True))
            self._fields[self._name] = field.text()
