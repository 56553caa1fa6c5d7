"""What every adapter does: it writes the prompt, reads the reply, and knows what a reply looks like.

An adapter knows signatures. It knows neither models nor programs: it is given inputs and
gives messages, is given text and gives fields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmstream_sync.adapters.reader import Reader
from lmstream_sync.callbacks import call_hooks
from lmstream_sync.errors import AdapterParseError
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.signatures.values import is_optional, parse_value

__all__ = ["Adapter", "texts_of_absent_fields"]


class Adapter(ABC):
    """The base of adapters. A new one says how messages are written, how a reply is read, and how it looks.

    Args:
        callbacks: `BaseCallback` objects that see this adapter's work, besides those of the settings.
    """

    def __init__(self, callbacks: Sequence[Any] | None = None) -> None:
        self.callbacks: list[Any] = list(callbacks or ())

    @abstractmethod
    def messages(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The prompt as role/content dicts: the system message, demos, the inputs. Called by `format`."""

    @abstractmethod
    def reader(self, signature: SignatureMeta) -> Reader:
        """A fresh reader for one reply."""

    @abstractmethod
    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values in the form asked for; absent fields are left out."""

    def format(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Write the prompt.

        Args:
            signature: what goes in and comes out, and the instructions.
            demos: examples, dicts or `Example` objects, with fields of the signature.
            inputs: name → value of the input fields.
        """
        watched = {"signature": signature, "demos": demos, "inputs": inputs}
        with call_hooks("adapter_format", self, watched, self.callbacks) as call:
            written = call.outputs = self.messages(signature, demos, inputs)
            return written

    def values(self, signature: SignatureMeta, fields: Mapping[str, str], completion: str) -> dict[str, Any]:
        """The values that the texts of a reply's fields stand for, in the signature's order.

        A field that is absent takes its default, or `None` where its type allows that; so does one
        of a type other than text that has a default and came empty.

        Args:
            signature: says the fields and their types.
            fields: name → text, as the reader's `finish` gives them.
            completion: the whole reply, for the error.

        Raises:
            AdapterParseError: a field is absent, or its text does not fit its type.
        """
        watched = {"signature": signature, "completion": completion}
        with call_hooks("adapter_parse", self, watched, self.callbacks) as call:
            found = call.outputs = self._values(signature, fields, completion)
            return found

    def parse(self, signature: SignatureMeta, completion: str) -> dict[str, Any]:
        """The values in a whole reply, made by the same reader that reads a stream.

        Raises:
            AdapterParseError: a field is absent, or its text does not fit its type.
        """
        reader = self.reader(signature)
        reader.feed(completion)
        return self.values(signature, reader.finish().fields, completion)

    def _values(self, signature: SignatureMeta, fields: Mapping[str, str], completion: str) -> dict[str, Any]:
        parsed: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, field in signature.output_fields.items():
            text = fields.get(name)
            if text is None or (not text and field.annotation is not str and field.has_default):
                if not _may_be_absent(field):
                    wrong[name] = f"the reply has no field {name!r}"
                else:
                    parsed[name] = field.default_value() if field.has_default else None
                continue
            try:
                parsed[name] = parse_value(field, text)
            except ValueError as error:
                wrong[name] = f"the field {name!r} does not fit its type: {error}"
        if not wrong:
            return parsed
        adapter = type(self).__name__
        raise AdapterParseError(
            f"{adapter}: {'; '.join(wrong.values())}. The reply was: {_shortened(completion)}",
            adapter_name=adapter,
            lm_response=completion,
            parsed_result=parsed,
            field=next(iter(wrong)),
        )


def texts_of_absent_fields(signature: SignatureMeta) -> dict[str, str | Callable[[], Any]]:
    """The output fields that a reply may lack, each with the text it has then: that of its default, else none.

    Or what makes that text: a text that is made anew each time must be made once a reply, by
    its reader, so that the value is what was streamed.
    """
    return {name: _absent_text(field) for name, field in signature.output_fields.items() if _may_be_absent(field)}


def _absent_text(field: Field) -> str | Callable[[], Any]:
    if field.default_factory is not None:
        return field.default_factory if field.annotation in (str, str | None) else ""
    return field.default if isinstance(field.default, str) else ""


def _may_be_absent(field: Field) -> bool:
    return field.has_default or is_optional(field.annotation)


def _shortened(text: str, limit: int = 500) -> str:
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}... ({len(text)} characters)"
