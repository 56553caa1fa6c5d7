"""The messages of a prompt: what all adapters that ask by text have in common.

A system message that says the form, demos as questions and answers, the turns of a
conversation, the question. What each of these looks like is the adapter's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.content import collecting_parts
from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.annotations import is_history
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.notes import field_note, input_note, type_name
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.signature import SignatureMeta, ensure_signature

__all__ = ["PromptAdapter", "listed", "placeholder"]

_DEMO_WITH_GAPS = "This example of the task is not complete: some of its fields are left out."
_LEFT_OUT = "(left out in this example)"


class PromptAdapter(Adapter):
    """An adapter that asks by text. A new one defines `form`, `question`, `reminder`, `render` and `reader`."""

    def form(self, signature: SignatureMeta) -> str:
        """What the system message says of the form of questions and answers."""
        raise self._undefined("form(self, signature)")

    def question(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """Input fields with their values, as a user message has them; fields without one are left out."""
        raise self._undefined("question(self, signature, values)")

    def reminder(self, signature: SignatureMeta) -> str:
        """The form once more, at the end of the prompt, where models heed it best."""
        raise self._undefined("reminder(self, signature)")

    def messages(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The system message, the demos as pairs of user and assistant, the turns of a history, the inputs.

        A demo that lacks fields comes with a note, before the complete ones; one without any
        input or without any output says nothing and is left out. A message's content is text,
        or content parts where a value is an image or its like.

        Raises:
            SignatureError: a turn of a history has none of the signature's fields.
        """
        with collecting_parts() as parts:
            written = self._written(signature, demos, inputs)
        if not parts.held:
            return written
        return [
            {**one, "content": parts.split(one["content"])} if isinstance(one.get("content"), str) else one
            for one in written
        ]

    def _written(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The messages, each part that is no text a word in it."""
        histories = _histories(signature)
        for name in histories:  # turns are messages of their own, and not said to be a field
            signature = ensure_signature(signature).delete(name)
        turns = [turn for name in histories for turn in inputs.get(name) or ()]
        with_gaps: list[dict[str, Any]] = []
        complete: list[dict[str, Any]] = []
        for demo in demos:
            given = {name for name in signature.fields if name in demo and demo[name] is not None}
            if len(given) == len(signature.fields):
                complete += self._demo(signature, demo)
            elif given & signature.input_fields.keys() and given & signature.output_fields.keys():
                with_gaps += self._demo(signature, demo, gaps=True)
        question = f"{self.question(signature, inputs)}\n\n{self.reminder(signature)}".strip()
        written = [{"role": "system", "content": self._system(signature)}, *with_gaps, *complete]
        for turn in turns:
            written += self._turn(signature, turn)
        written.append({"role": "user", "content": question})
        return written

    def _system(self, signature: SignatureMeta) -> str:
        return f"{_fields_told(signature)}\n\n{self.form(signature)}\n\nYour task:\n{_instructions(signature)}"

    def _turn(self, signature: SignatureMeta, turn: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A turn of a history: the message that it is, or its fields as a question and its answer."""
        if "role" in turn and ("content" in turn or "tool_calls" in turn) and not turn.keys() & signature.fields.keys():
            return [dict(turn)]
        asked = {name: turn[name] for name in signature.input_fields if name in turn}
        answered = {name: turn[name] for name in signature.output_fields if name in turn}
        if not asked and not answered:
            raise SignatureError(
                f"a turn of the history has {', '.join(turn)}, and none of the fields of {signature.signature!r}; "
                f"give dicts of these, or of 'role' and 'content'"
            )
        return [
            *([{"role": "user", "content": self.question(signature, asked)}] if asked else []),
            *([{"role": "assistant", "content": self.render(signature, answered)}] if answered else []),
        ]

    def _demo(self, signature: SignatureMeta, demo: Mapping[str, Any], gaps: bool = False) -> list[dict[str, Any]]:
        """A demo as a question and its answer."""
        question = self.question(signature, demo)
        answers = {
            name: demo[name] if name in demo and demo[name] is not None else _LEFT_OUT
            for name in signature.output_fields
        }
        return [
            {"role": "user", "content": f"{_DEMO_WITH_GAPS}\n\n{question}" if gaps else question},
            {"role": "assistant", "content": self.render(signature, answers)},
        ]


@remembered
def _histories(signature: SignatureMeta) -> list[str]:
    """The inputs that are the turns of a conversation."""
    return [name for name, field in signature.input_fields.items() if is_history(field.annotation)]


@remembered
def _instructions(signature: SignatureMeta) -> str:
    return signature.instructions


@remembered
def _fields_told(signature: SignatureMeta) -> str:
    """What goes in and what comes out."""
    parts = [f"You answer with:\n{listed(signature.output_fields)}"]
    if signature.input_fields:
        parts.insert(0, f"You are given:\n{listed(signature.input_fields)}")
    return "\n\n".join(parts)


def listed(fields: Mapping[str, Field]) -> str:
    """The fields as a numbered list, with type, meaning and constraints."""
    lines = []
    for number, (name, field) in enumerate(fields.items(), 1):
        line = f"{number}. `{name}` ({type_name(field.annotation)})"
        if field.desc:
            line += f": {field.desc}"
        notes = field.constraint_notes()
        if field.kind == "input" and (told := input_note(field)):
            notes.append(told)
        if notes:
            line += f" [{', '.join(notes)}]"
        lines.append(line)
    return "\n".join(lines)


def placeholder(field: Field) -> str:
    """What stands for a field's value where the form is shown."""
    note = field_note(field) if field.kind == "output" else ""
    return f"{{{field.name}}}" + (f"    # {note}" if note else "")
