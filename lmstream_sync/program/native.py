"""Output fields that a model answers beside its text: its reasoning, citations, calls of tools, a type of the user's.

The text of a reply is the adapter's reader's business; this reads the rest of each piece.
Where a field is answered both ways, what is given beside the text counts. Pure.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldObject
from lmstream_sync.errors import AdapterParseError
from lmstream_sync.lm.engine import Choice, Delta
from lmstream_sync.lm.surrogates import SurrogateJoiner, joined
from lmstream_sync.lm.tool_fragments import CallSorter
from lmstream_sync.signatures import Field, SignatureMeta
from lmstream_sync.signatures.annotations import members, type_name
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.values import text_of

__all__ = ["NativeField", "left_out", "native_fields", "takes_documents", "tools_field"]


#: Options of litellm and of providers by which a model is told to reason.
_SWITCHES_REASONING_ON = ("reasoning_effort", "thinking", "reasoning")


def bare_type(annotation: Any) -> Any:
    """A type without `Optional` and `Annotated` around it."""
    left = members(annotation) - {type(None)}
    return left.pop() if len(left) == 1 else annotation


@remembered
def tools_field(signature: SignatureMeta) -> str | None:
    """The input field that holds tools (`tools: list[Tool]`), where an output field is of the type `ToolCalls`."""
    if not any(_feature(bare_type(field.annotation)) == "tool_calls" for field in signature.output_fields.values()):
        return None
    for name, field in signature.input_fields.items():
        inner = bare_type(field.annotation)
        held = typing.get_args(inner) if typing.get_origin(inner) is list else (inner,)
        if any(hasattr(one, "format_as_litellm_function_call") for one in held):
            return name
    return None


_NONE: Final[Mapping[str, type[NativeField]]] = MappingProxyType({})


@remembered
def _all_text(signature: SignatureMeta) -> bool:
    """Whether a reply has nothing but text."""
    return all(field.annotation is str for field in signature.output_fields.values())


def native_fields(
    adapter: Adapter, signature: SignatureMeta, *, calls_functions: bool = False
) -> Mapping[str, type[NativeField]]:
    """Output field → how it is read beside the text, for those that may be.

    Args:
        adapter: says which types are taken so.
        signature: the run's.
        calls_functions: the request tells the model of its tools.
    """
    if _all_text(signature):
        return _NONE
    found: dict[str, type[NativeField]] = {}
    for name, field in signature.output_fields.items():
        if field.annotation is str:
            continue
        kind = bare_type(field.annotation)
        if not isinstance(kind, type):
            continue
        feature = _feature(kind)
        wanted = adapter.native_response_types
        if feature == "tool_calls":
            if calls_functions:
                found[name] = ToolCallsField
        elif feature is not None and wanted is None or wanted is not None and issubclass(kind, tuple(wanted)):
            found[name] = {"reasoning": ReasoningField, "citations": CitationsField}.get(feature or "", ChunkField)
        elif _streams_itself(kind) and feature is None:
            found[name] = ShownField
    return found


def left_out(natives: Mapping[str, type[NativeField]], model: str, options: Mapping[str, Any]) -> list[str]:
    """The fields that the prompt does not ask for, as this model is certain to answer them beside its text.

    Args:
        natives: see `native_fields`.
        model: its name; those that take documents cite them.
        options: of the request: those that switch reasoning on say that there will be some.
    """
    if not natives:
        return []
    reasons = any(options.get(name) is not None for name in _SWITCHES_REASONING_ON)
    certain = {
        ReasoningField: reasons,
        CitationsField: takes_documents(model),
        ToolCallsField: True,
        ChunkField: True,
    }
    return [name for name, kind in natives.items() if certain.get(kind, False)]


def takes_documents(model: str) -> bool:
    """Whether a model knows Anthropic's content parts of the type `document`, and cites them."""
    return "claude" in model or model.startswith("anthropic/")


def _feature(kind: Any) -> str | None:
    """The feature of models that gives a type's values: `"reasoning"`, `"citations"`, `"tool_calls"`."""
    found: str | None = getattr(kind, "native_feature", None)
    return found


def _streams_itself(kind: Any) -> bool:
    says = getattr(kind, "is_streamable", None)
    return callable(says) and bool(says())


class NativeField:
    """Reads one field of one reply. The base takes what the field's type makes of each piece.

    Args:
        field: the output field.
    """

    #: Whether the value is taken from here too, and not from the text.
    gives_value = True
    #: Whether the field's type is given the provider's own object for each piece.
    reads_raw = True
    #: Whether the pieces are text for certain.
    _is_text = False

    def __init__(self, field: Field) -> None:
        self._field = field
        self._kind = bare_type(field.annotation)
        self._text: list[str] = []
        #: Whether anything came.
        self.begun = False
        #: A type that has no empty value closes its field with its last piece, which so waits for the next.
        self._waits = not self._is_text and self.empty() is None
        self._held: Any = None

    def feed(self, delta: Delta) -> list[FieldEvent]:
        """What a piece has for this field."""
        piece = self._piece(delta)
        if piece is None or piece == "":
            return []
        self.begun = True
        if isinstance(piece, str):
            self._text.append(piece)
            return [FieldDelta(self._field.name, piece, False)]
        if self._waits:
            piece, self._held = self._held, piece
        return [FieldObject(self._field.name, piece)] if piece is not None else []

    def finish(self, value: Any) -> list[FieldEvent]:
        """The reply is over: what is left of the field, its last mark among it.

        Args:
            value: the field's value, shown whole where no piece of it was.
        """
        if self._text or (value is not None and self._is_text):
            return [FieldDelta(self._field.name, "" if self._text else self.text(value), True)]
        if not self.begun and value is not None:
            return [FieldObject(self._field.name, value, True)]
        return [FieldObject(self._field.name, self._held if self._waits else self.empty(), True)]

    def value(self, choice: Choice) -> Any:
        """The field's value in a whole reply; `None` where it has none."""
        read = getattr(self._kind, "parse_lm_response", None)
        return read(_as_dict(choice)) if read is not None else None

    def text(self, value: Any) -> str:
        """The field's text: what was streamed of it, else its value as text."""
        return "".join(self._text) or ("" if value is None else text_of(value))

    def empty(self) -> Any:
        """The value where the model gave nothing."""
        if self._field.has_default:
            return self._field.default_value()
        try:
            return self._kind()
        except (TypeError, ValueError):
            return None

    def _piece(self, delta: Delta) -> Any:
        return self._kind.parse_stream_chunk(delta.raw) if delta.raw is not None else None


class ChunkField(NativeField):
    """A type named in `native_response_types` that reads pieces itself."""


class ShownField(NativeField):
    """A streamable type whose pieces are shown, while the value stands in the text."""

    gives_value = False


class ReasoningField(NativeField):
    """The model's own reasoning, as it is."""

    reads_raw = False
    _is_text = True

    def _piece(self, delta: Delta) -> Any:
        return delta.reasoning

    def value(self, choice: Choice) -> Any:
        """The reasoning of a whole reply."""
        return self._kind(choice.reasoning) if choice.reasoning is not None else None


class CitationsField(NativeField):
    """What the provider cites, each citation when it comes."""

    reads_raw = False

    def _piece(self, delta: Delta) -> Any:
        citation = (delta.provider_fields or {}).get("citation")
        return self._kind.from_dict_list([citation]) if citation else None


class ToolCallsField(NativeField):
    """The calls of tools that the model asks for, as JSON text in the making."""

    reads_raw = False
    _is_text = True

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._calls = _CallsText()

    def _piece(self, delta: Delta) -> Any:
        return self._calls.feed(delta.tool_calls) if delta.tool_calls else None

    def finish(self, value: Any) -> list[FieldEvent]:
        """The rest of the text."""
        if not self.begun:
            return super().finish(value)
        rest = self._calls.finish()
        self._text.append(rest)
        return [FieldDelta(self._field.name, rest, True)]

    def value(self, choice: Choice) -> Any:
        """The calls of a whole reply.

        Raises:
            AdapterParseError: one has no name, or arguments that are no JSON object.
        """
        if not choice.tool_calls:
            return None
        try:
            return self._kind.from_wire(choice.tool_calls)
        except ValueError as error:
            complaint = str(error)
        name = self._field.name
        raise AdapterParseError(
            f"the field {name!r} does not fit its type {type_name(self._field.annotation)}: {complaint}",
            lm_response=json.dumps(choice.tool_calls, ensure_ascii=False),
            field=name,
        )


class _CallsText:
    """Fragments of tool calls as one JSON text, `{"tool_calls": [{"name": ..., "args": {...}}]}`, while they come.

    Fragments are told apart as they are for the whole reply (`CallSorter`). The first call's text
    goes as it comes; that of the others waits for the end of the reply, as any call may go on until then.
    """

    def __init__(self) -> None:
        self._sorter = CallSorter()
        # Of each call its name, and the text of its arguments that has not gone.
        self._calls: list[tuple[str, list[str]]] = []
        self._first = SurrogateJoiner()
        self._has_arguments = False

    def feed(self, fragments: Sequence[Mapping[str, Any]]) -> str:
        """More fragments; the text that can go now."""
        made: list[str] = []
        for place, _, name, arguments in self._sorter.feed(fragments):
            if place == len(self._calls):
                self._calls.append((name, []))
                if place == 0:
                    made.append('{"tool_calls": [' + _head(name))
            if place == 0:
                self._has_arguments = self._has_arguments or bool(arguments.strip())
                made.append(self._first.feed(arguments))
            else:
                self._calls[place][1].append(arguments)
        return "".join(made)

    def finish(self) -> str:
        """The reply is over: the rest of the text."""
        if not self._calls:
            return ""
        made = [self._first.finish() if self._has_arguments else "{}"]
        for name, pieces in self._calls[1:]:
            arguments = joined("".join(pieces))
            made.append("}, " + _head(name) + (arguments if arguments.strip() else "{}"))
        return "".join(made) + "}]}"


def _head(name: str) -> str:
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "args": '


def _as_dict(choice: Choice) -> dict[str, Any]:
    """A whole answer as `parse_lm_response` takes it."""
    return {
        **choice.provider_fields,
        "text": choice.text,
        "reasoning_content": choice.reasoning,
        "tool_calls": choice.tool_calls,
    }
