"""The JSON adapter: a reply is one JSON object with the output fields as keys.

Where the endpoint has structured output, the signature's JSON schema is sent along. The
wording of the prompt is ours.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, Union

from lmstream_sync.adapters.absent import texts_of_absent_fields
from lmstream_sync.adapters.json_reader import JSONReader
from lmstream_sync.adapters.json_schema import response_schema, schema_name
from lmstream_sync.adapters.markers import marker, sections
from lmstream_sync.adapters.prompts import PromptAdapter
from lmstream_sync.signatures.annotations import members
from lmstream_sync.signatures.notes import type_name, type_note
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.signature import SignatureMeta, inputs_of, outputs_of

__all__ = ["JSONAdapter"]

_SIMPLE: Final[dict[Any, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    None: "null",
    type(None): "null",
}


class JSONAdapter(PromptAdapter):
    """Asks for a JSON object with the output fields as keys, and reads such replies.

    A string's text is its characters, exactly; any other value's text is its JSON as it
    stands. What is nearly JSON is repaired when the reply is over. See `JSONReader`.

    Args:
        callbacks, use_native_function_calling, native_response_types, parallel_tool_calls: see `Adapter`.
    """

    calls_functions_natively: ClassVar[bool] = True
    pure_reader = True

    def __init__(
        self,
        callbacks: Sequence[Any] | None = None,
        use_native_function_calling: bool | None = None,
        native_response_types: Sequence[type] | None = None,
        parallel_tool_calls: bool | None = None,
    ) -> None:
        super().__init__(callbacks, use_native_function_calling, native_response_types, parallel_tool_calls)
        # Any reply may need it, and replies are read on the event-loop thread, where nothing is imported.
        import json_repair  # noqa: F401

    def reader(self, signature: SignatureMeta) -> JSONReader:
        """A fresh reader for one reply."""
        return JSONReader(outputs_of(signature), texts_of_absent_fields(signature), _texts(signature))

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values; fields without one are left out."""
        given = {name: jsonable(values[name]) for name in signature.output_fields if name in values}
        return json.dumps(given, ensure_ascii=False, indent=2)

    def request_options(self, signature: SignatureMeta) -> Sequence[Mapping[str, Any]]:
        """The schema of the reply where structured output can express it, then any JSON object, then nothing."""
        steps: list[Mapping[str, Any]] = [{"response_format": {"type": "json_object"}}, {}]
        schema = response_schema(signature)
        if schema is not None:
            described = {"name": schema_name(signature), "schema": schema, "strict": True}
            steps.insert(0, {"response_format": {"type": "json_schema", "json_schema": described}})
        return steps

    def form(self, signature: SignatureMeta) -> str:
        """Inputs under their markers, and the object with its keys."""
        return _form(signature)

    def question(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """Each input that has a value under its marker."""
        return sections(inputs_of(signature), values)

    def reminder(self, signature: SignatureMeta) -> str:
        """The keys in their order."""
        return _reminder(signature)


@remembered
def _texts(signature: SignatureMeta) -> frozenset[str]:
    """The fields that are text whatever the JSON says."""
    fields = signature.output_fields.items()
    return frozenset(name for name, field in fields if members(field.annotation) - {type(None)} == {str})


@remembered
def _form(signature: SignatureMeta) -> str:
    parts = []
    if signature.input_fields:
        inputs = [f"{marker(name)}\n{{{name}}}" for name in signature.input_fields]
        parts.append("\n\n".join(["What you are given stands under marker lines, in this form:", *inputs]))
    keys = ",\n".join(f"  {json.dumps(name, ensure_ascii=False)}: ..." for name in signature.output_fields)
    notes = "\n".join(
        f"- `{name}`: {'; '.join([_note(field.annotation), *field.constraint_notes()])}"
        for name, field in signature.output_fields.items()
    )
    parts.append(
        "You answer with one JSON object with these keys, in this order, and nothing before or after it:\n\n"
        f"{{\n{keys}\n}}\n\nTheir values:\n{notes}"
    )
    return "\n\n".join(parts)


@remembered
def _reminder(signature: SignatureMeta) -> str:
    keys = ", then ".join(
        f"`{name}`" + ("" if field.annotation is str else f" ({type_name(field.annotation)})")
        for name, field in signature.output_fields.items()
    )
    return f"Now answer with a JSON object and nothing else. Its keys: {keys}."


def _note(annotation: Any) -> str:
    """What a model must keep to when it writes a value of a type as JSON."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _note(arguments[0])
    if origin in (Union, types.UnionType):
        others = [one for one in arguments if one is not type(None)]
        if len(others) == 1:
            return f"{_note(others[0])}; or null where there is none"
    if isinstance(annotation, enum.EnumMeta):
        everyone: list[Any] = list(annotation)
        return _choice([one.value for one in everyone])
    if origin is Literal:
        return _choice(list(arguments))
    try:
        if annotation in _SIMPLE:
            return _SIMPLE[annotation]
    except TypeError:  # it has no hash
        pass
    note = type_note(annotation)
    if getattr(annotation, "reads_text", False) is True:
        return f"a string: {note}" if note else "a string"
    return note or "any JSON value"


def _choice(values: Sequence[Any]) -> str:
    return f"exactly one of these: {', '.join(json.dumps(jsonable(value), ensure_ascii=False) for value in values)}"
