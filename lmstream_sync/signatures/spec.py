"""Signature strings: `"question, context: list[str] -> answer: str, score: float"`.

Split into fields here; each type is read as a Python expression and built from the names
it consists of, never evaluated. Every complaint points at its place with a caret.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.names import look_up

__all__ = ["FieldSpec", "parse_spec"]

#: `Literal` under a name that type checkers let us put values into.
_LITERAL: Any = Literal

_OPENING = {"[": "]", "(": ")", "{": "}"}


class FieldSpec(NamedTuple):
    """One field as a string signature names it."""

    kind: Literal["input", "output"]
    name: str
    annotation: Any


def parse_spec(spec: str, custom_types: Mapping[str, Any] | None = None) -> list[FieldSpec]:
    """The fields of a signature string, inputs first.

    Args:
        spec: fields with optional types, comma-separated, inputs and outputs on the two
            sides of `->`.
        custom_types: name → type, looked up before all others.

    Raises:
        SignatureError: it does not parse; the message shows the place.
    """
    arrows, commas = _separators(spec)
    if not arrows:
        raise _misread(spec, len(spec.rstrip()), "a signature needs '->' between its inputs and outputs")
    if len(arrows) > 1:
        raise _misread(spec, arrows[1], "a second '->'")
    arrow = arrows[0]
    fields: list[FieldSpec] = []
    kinds: tuple[Literal["input", "output"], ...] = ("input", "output")
    for kind, begin, end in zip(kinds, (0, arrow + 2), (arrow, len(spec)), strict=True):
        if not spec[begin:end].strip():
            if kind == "output":
                raise _misread(spec, end, "no output fields after '->'")
            continue
        cuts = [begin - 1, *(comma for comma in commas if begin <= comma < end), end]
        for before, after in zip(cuts, cuts[1:], strict=False):
            one = _field(spec, before + 1, after, kind, custom_types)
            if any(one.name == other.name for other in fields):
                raise _misread(spec, spec.index(one.name, before + 1), f"the field {one.name!r} is there twice")
            fields.append(one)
    return fields


def _separators(spec: str) -> tuple[list[int], list[int]]:
    """Where the arrows and commas stand that are in no bracket and no quotes."""
    arrows: list[int] = []
    commas: list[int] = []
    closing: list[tuple[str, int]] = []
    quote = ""
    quote_at = 0
    for at, char in enumerate(spec):
        if quote:
            if char == quote and spec[at - 1] != "\\":
                quote = ""
        elif char in "\"'":
            quote, quote_at = char, at
        elif char in _OPENING:
            closing.append((_OPENING[char], at))
        elif char in _OPENING.values():
            if not closing or closing.pop()[0] != char:
                raise _misread(spec, at, f"{char!r} closes nothing")
        elif not closing and char == ",":
            commas.append(at)
        elif spec.startswith("->", at):
            if closing:
                break
            arrows.append(at)
    if quote:
        raise _misread(spec, quote_at, "this quote is never closed")
    if closing:
        raise _misread(spec, closing[-1][1], "this bracket is never closed")
    return arrows, commas


def _field(
    spec: str, begin: int, end: int, kind: Literal["input", "output"], custom_types: Mapping[str, Any] | None
) -> FieldSpec:
    """One field out of `spec[begin:end]`."""
    text = spec[begin:end]
    name_part, colon, type_part = text.partition(":")
    name = name_part.strip()
    at = begin + len(name_part) - len(name_part.lstrip()) if name else begin
    if not name:
        raise _misread(spec, at, "a field name is missing")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise _misread(spec, at, f"{name!r} is no field name; a field is named as a Python variable is")
    if name.startswith("_"):
        raise _misread(spec, at, f"a field name may not begin with an underscore: {name!r}")
    if not colon:
        return FieldSpec(kind, name, str)
    type_at = begin + len(name_part) + 1
    if not type_part.strip():
        raise _misread(spec, type_at, f"the type of {name!r} is missing after ':'")
    return FieldSpec(kind, name, _TypeReader(spec, type_at, type_part, custom_types).read())


class _TypeReader:
    """Reads one type. Columns of the expression are turned into places in the whole signature."""

    def __init__(self, spec: str, at: int, text: str, custom_types: Mapping[str, Any] | None) -> None:
        self._spec = spec
        self._text = text.strip().replace("\n", " ")
        self._at = at + len(text) - len(text.lstrip())
        self._custom_types = custom_types

    def read(self) -> Any:
        try:
            tree = ast.parse(self._text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            column = getattr(error, "offset", None) or 1
            place, reason = self._at + min(column - 1, len(self._text)), "this is no type"
        else:
            return self._type(tree)
        raise _misread(self._spec, place, reason)

    def _place(self, node: ast.expr) -> int:
        # ast counts columns in UTF-8 bytes.
        return self._at + len(self._text.encode()[: node.col_offset].decode())

    def _type(self, node: ast.expr) -> Any:
        """The type that an expression stands for."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._name(node)
        if isinstance(node, ast.Constant):
            if node.value is None:
                return None
            if isinstance(node.value, str) and node.value.isidentifier():
                return self._look_up(node.value, node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return Union[self._type(node.left), self._type(node.right)]  # noqa: UP007  # built, not written
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        raise _misread(self._spec, self._place(node), "this is no type")

    def _name(self, node: ast.Name | ast.Attribute) -> Any:
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise _misread(self._spec, self._place(node), "this is no type")
        return self._look_up(".".join([inner.id, *reversed(parts)]), node)

    def _look_up(self, name: str, node: ast.expr) -> Any:
        try:
            return look_up(name, self._custom_types)
        except LookupError as error:
            reason = error.args[0]
        raise _misread(self._spec, self._place(node), reason)

    def _subscript(self, node: ast.Subscript) -> Any:
        outer = self._type(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer is Literal:
            return _LITERAL[tuple(self._literal(one) for one in inner)]
        if hasattr(outer, "is_streamable") and all(isinstance(one, ast.Constant) for one in inner):
            # `Code['python']`: a word, not the name of a type.
            arguments: tuple[Any, ...] = tuple(self._literal(one) for one in inner)
        else:
            arguments = tuple(... if _is_ellipsis(one) else self._type(one) for one in inner)
        try:
            return outer[arguments if len(arguments) != 1 else arguments[0]]
        except (TypeError, AttributeError):
            what = ast.unparse(node.value)
        raise _misread(self._spec, self._place(node), f"{what} takes no such types in brackets")

    def _literal(self, node: ast.expr) -> Any:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            value = ...
        if value is None or isinstance(value, (str, int, bool, bytes)):
            return value
        raise _misread(self._spec, self._place(node), "Literal takes strings, numbers, True, False and None")


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _misread(spec: str, at: int, reason: str) -> SignatureError:
    """The error that shows the signature with a caret under the place."""
    line_begin = spec.rfind("\n", 0, at) + 1
    line = spec[line_begin:].split("\n", 1)[0]
    margin = "".join("\t" if char == "\t" else " " for char in line[: at - line_begin])
    return SignatureError(f"{reason}\n  {line}\n  {margin}^")
