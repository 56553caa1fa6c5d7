"""Values and their text: what a prompt shows of a value, and what a reply's text means.

A `str` field's text is its value. Other types are read through pydantic (`validating.py`).
"""

from __future__ import annotations

import contextlib
import enum
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.annotations import is_optional, members, prompt_types, type_name
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.parts import parts_being_collected
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.repairing import as_literal, repaired
from lmstream_sync.signatures.validating import json_schema, prepare, validator

__all__ = ["check_inputs", "format_value", "is_optional", "json_schema", "parse_value", "prepare", "text_of"]

#: What models write for "no value".
_NOTHING = frozenset({"", "null", "none", "n/a"})

#: How much of a text an error shows, in characters.
_SHOWN = 100

#: What models put round a single word or number, and after it.
_DRESS = " \t\r\n*_`\"'"
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


def format_value(field: Field | None, value: Any) -> str:
    """A value as a prompt shows it.

    Text stands as it is, numbers as Python writes them, everything else as JSON. Several
    texts in a field of type `str` are numbered, each in guillemets, as in DSPy.
    """
    if type(value) is str and field is not None and field.annotation is str:
        return value  # what most values are
    if field is not None and field.annotation is str and isinstance(value, (list, tuple)):
        texts = [_quoted(text_of(one)) for one in value]
        if len(texts) < 2:
            return texts[0] if texts else "N/A"
        return "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    if field is not None:
        with contextlib.suppress(ValueError):  # a demo's field may say that it was left out
            value = _of_its_type(field, value)
    return text_of(value)


def _of_its_type(field: Field, value: Any) -> Any:
    """A value that was given for one of the library's types as one of that type: a URL as an image."""
    if field.annotation is str or not prompt_types(field.annotation):
        return value
    return validator(field.annotation)(value)


def text_of(value: Any) -> str:
    """A value as text: a string as it is, containers and models as JSON, the rest as `str` has it.

    Within `collecting_parts` an image and its like are words that stand for content parts.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    made = jsonable(value)
    if not isinstance(made, (dict, list)):
        return str(made)
    text = json.dumps(made, ensure_ascii=False)
    parts = parts_being_collected()
    return parts.unquoted(text) if parts is not None else text


def _quoted(text: str) -> str:
    if "\n" not in text and "«" not in text and "»" not in text:
        return f"«{text}»"
    indented = text.replace("\n", "\n    ")
    return f"«««\n    {indented}\n»»»"


def check_inputs(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a call in the signature's order, with defaults filled in.

    An input of an optional type that is left out is `None`. What is given for one of the
    library's types becomes one of it (a URL an image, a list of turns a `History`).

    Raises:
        SignatureError: an input is missing or unknown, all such are named; or what was given
            for one of the library's types is none.
    """
    fields: Mapping[str, Field] = signature._sorted()[0]  # no copy for every call
    unknown = [name for name in inputs if name not in fields] if inputs.keys() != fields.keys() else ()
    checked: dict[str, Any] = {}
    missing: list[str] = []
    for name, field in fields.items():
        if name in inputs:
            checked[name] = inputs[name]
        elif field.has_default:
            checked[name] = field.default_value()
        elif is_optional(field.annotation):
            checked[name] = None
        else:
            missing.append(name)
    if unknown or missing:
        wrong = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown)
        takes = ", ".join(f"{name}=" for name in fields) or "no inputs"
        raise SignatureError(f"inputs do not fit {signature.signature!r}: {'; '.join(wrong)} (it takes {takes})")
    complaint = ""
    for name, field in fields.items():
        if field.annotation is str:
            continue
        try:
            checked[name] = _of_its_type(field, checked[name])
        except ValueError as error:
            complaint = f"the input {name!r} is no {type_name(field.annotation)}: {error}"
            break
    if complaint:
        raise SignatureError(complaint)
    return checked


def parse_value(field: Field | Any, text: str) -> Any:
    """What a field's text means, as its type says.

    Args:
        field: a `Field`, or a bare annotation.
        text: the text as it stood in the reply, without white space at its ends.

    Raises:
        ValueError: it does not fit the type or a constraint; the message is one line and names
            the text, the type and what is wrong.
    """
    try:
        return _parsed(field, text)
    except ValueError as error:
        cause = error.__cause__
        shown = repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}... ({len(text)} characters)"
        named = type_name(field.annotation if isinstance(field, Field) else field)
        complaint = f"{shown} is no {named}: {error}"
    raise ValueError(complaint) from cause


def _parsed(field: Field | Any, text: str) -> Any:
    annotation, constraints = (field.annotation, field.constraints) if isinstance(field, Field) else (field, {})
    if annotation is str and not constraints:
        return text
    if annotation in (Any, object):
        return next(_as_json(text), text)
    allowed = members(annotation)
    if type(None) in allowed and text.strip().lower() in _NOTHING:
        return None
    validate = validator(annotation, constraints)
    bare = allowed - {type(None)}
    if str in bare:
        return _text_or_more(text, bare, validate)
    if any(getattr(one, "reads_text", False) is True for one in bare):
        return validate(text)
    chosen = _chosen(bare, text)
    return _first_that_fits(validate, [chosen] if chosen is not None else _readings(text))


def _text_or_more(text: str, allowed: set[Any], validate: Callable[[Any], Any]) -> Any:
    """The value of a type that text alone satisfies: another member where the text plainly is one."""
    if len(allowed) > 1 and text[:1] != '"':
        for made in [*_as_json(text), *(value for name, value in (("True", True), ("False", False)) if text == name)]:
            with contextlib.suppress(ValueError):
                return validate(made)
    return validate(text)


def _chosen(allowed: set[Any], text: str) -> Any:
    """The member of an enum or `Literal` that a text names; `None` where it names none, or several."""
    word = text.strip()
    spellings = [text, word]
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'`":
        spellings.append(word[1:-1])
    spellings.append(_undressed(word))
    names = [pair for member in allowed for pair in _names(member)]
    for spelling in spellings:
        for name, value in names:
            if name == spelling:
                return value
    alike = [value for name, value in names if name.casefold() == spellings[-1].casefold()]
    return alike[0] if alike and all(value is alike[0] for value in alike) else None


def _names(member: Any) -> Iterator[tuple[str, Any]]:
    """The names of an enum's or a `Literal`'s values, those that a prompt tells first."""
    if isinstance(member, enum.EnumMeta):
        everyone: list[Any] = list(member)
        yield from ((str(one.value), one) for one in everyone)
        yield from ((one.name, one) for one in everyone)
        yield from ((f"{member.__name__}.{one.name}", one) for one in everyone)
    elif typing.get_origin(member) is Literal:
        yield from ((str(one), one) for one in typing.get_args(member))


def _undressed(word: str) -> str:
    """A word without emphasis, quotes and a full stop: `**Yes.**` is `Yes`."""
    return word.strip(_DRESS).removesuffix(".").strip(_DRESS)


def _readings(text: str) -> Iterator[Any]:
    """What a text may stand for, the likeliest first."""
    word = text.strip()
    if not word.startswith(("[", "{", '"', "`")):
        yield word
    yield from _as_json(word)
    fenced = _FENCED.search(word)
    if fenced:
        yield from _as_json(fenced[1])
    yield from as_literal(word)  # tuples, single quotes, None
    if "{" in word or "[" in word:
        yield from _mended(fenced[1] if fenced else word)
    elif len(word) <= _SHOWN:
        bare = _undressed(word)
        yield bare
        if _GROUPED.fullmatch(bare):
            yield bare.replace(",", "")
    yield word


def _as_json(text: str) -> Iterator[Any]:
    with contextlib.suppress(ValueError, RecursionError):
        yield json.loads(text)


def _mended(text: str) -> Iterator[Any]:
    """Text that is nearly JSON, put right: a trailing comma, a comment, prose around it, an end cut off."""
    made = repaired(text)
    if made != "":
        yield made


def _first_that_fits(validate: Callable[[Any], Any], readings: list[Any] | Iterator[Any]) -> Any:
    """The first reading that is valid; where none is, the complaint about the one that was best understood."""
    complaints: list[tuple[bool, ValueError]] = []
    for reading in readings:
        try:
            return validate(reading)
        except ValueError as error:
            complaints.append((isinstance(reading, str), error))
    best = min(complaints, key=lambda one: one[0])[1]
    raise ValueError(str(best)) from best.__cause__
