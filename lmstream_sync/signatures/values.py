"""Values and their text: what a prompt shows of a value, and what a reply's text means.

A `str` field's text is its value. Other types are read through pydantic, which is loaded
when the first signature that needs it is made, and so not on the event-loop thread.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.plain import jsonable

__all__ = ["check_inputs", "format_value", "is_optional", "json_schema", "parse_value", "prepare", "text_of"]

#: What models write for "no value".
_NOTHING = frozenset({"", "null", "none", "n/a"})

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


def format_value(field: Field | None, value: Any) -> str:
    """A value as a prompt shows it.

    Text stands as it is, numbers as Python writes them, everything else as JSON. Several
    texts in a field of type `str` are numbered, each in guillemets, as in DSPy.
    """
    if field is not None and field.annotation is str and isinstance(value, (list, tuple)):
        texts = [_quoted(text_of(one)) for one in value]
        if len(texts) < 2:
            return texts[0] if texts else "N/A"
        return "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    return text_of(value)


def text_of(value: Any) -> str:
    """A value as text: a string as it is, containers and models as JSON, the rest as `str` has it."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    made = jsonable(value)
    return json.dumps(made, ensure_ascii=False) if isinstance(made, (dict, list)) else str(made)


def _quoted(text: str) -> str:
    if "\n" not in text and "«" not in text and "»" not in text:
        return f"«{text}»"
    indented = text.replace("\n", "\n    ")
    return f"«««\n    {indented}\n»»»"


def check_inputs(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a call in the signature's order, with defaults filled in.

    An input of an optional type that is left out is `None`.

    Raises:
        SignatureError: an input is missing or unknown; all such are named.
    """
    fields: Mapping[str, Field] = signature.input_fields
    unknown = [name for name in inputs if name not in fields]
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
    return checked


def parse_value(field: Field | Any, text: str) -> Any:
    """What a field's text means, as its type says.

    Args:
        field: a `Field`, or a bare annotation.
        text: the text as it stood in the reply, without white space at its ends.

    Raises:
        ValueError: it does not fit the type or a constraint; the message is one line.
    """
    annotation, constraints = (field.annotation, field.constraints) if isinstance(field, Field) else (field, {})
    if annotation is str and not constraints:
        return text
    if annotation in (Any, object):
        return next(_as_json(text), text)
    members = _members(annotation)
    if type(None) in members and text.strip().lower() in _NOTHING:
        return None
    validate = _validator(annotation, constraints)
    bare = members - {type(None)}
    if str in bare:
        return _text_or_more(text, bare, validate)
    chosen = _chosen(bare, text)
    return _first_that_fits(validate, [chosen] if chosen is not None else _readings(text))


def prepare(field: Field) -> None:
    """Load what reading a typed output field will need, now and in this thread.

    Reading happens on the event-loop thread, where nothing is imported.
    """
    if field.kind == "output" and (field.annotation is not str or field.constraints):
        import json_repair  # noqa: F401
        import pydantic  # noqa: F401


def is_optional(annotation: Any) -> bool:
    """Whether a type allows `None`."""
    return annotation is None or type(None) in _members(annotation)


@functools.lru_cache(maxsize=512)
def json_schema(annotation: Any) -> str:
    """The JSON schema of a type as compact JSON; empty where it has none."""
    import pydantic

    try:
        return json.dumps(pydantic.TypeAdapter(annotation).json_schema(), ensure_ascii=False)
    except pydantic.errors.PydanticUserError:
        return ""


def _members(annotation: Any) -> set[Any]:
    """The types of a union, through `Annotated`; else the type alone."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return set().union(*(_members(one) for one in typing.get_args(annotation)))
    return {annotation}


def _text_or_more(text: str, members: set[Any], validate: Callable[[Any], Any]) -> Any:
    """The value of a type that text alone satisfies: JSON only where it is plainly meant."""
    if len(members) > 1 and text[:1] in ("[", "{"):
        for made in _as_json(text):
            with contextlib.suppress(ValueError):
                return validate(made)
    return validate(text)


def _chosen(members: set[Any], text: str) -> Any:
    """The member of an enum or `Literal` that a text names; `None` where it names none."""
    word = text.strip()
    spellings = [text, word]
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'`":
        spellings.append(word[1:-1])
    for member in members:
        named: list[tuple[str, Any]] = []
        if isinstance(member, enum.EnumMeta):
            everyone: list[Any] = list(member)
            named = [(str(one.value), one) for one in everyone] + [(one.name, one) for one in everyone]
            named += [(f"{member.__name__}.{one.name}", one) for one in everyone]
        elif typing.get_origin(member) is Literal:
            named = [(str(one), one) for one in typing.get_args(member)]
        for spelling in spellings:
            for name, value in named:
                if name == spelling:
                    return value
    return None


def _readings(text: str) -> Iterator[Any]:
    """What a text may stand for, the likeliest first."""
    word = text.strip()
    if not word.startswith(("[", "{", '"', "`")):
        yield word
    yield from _as_json(word)
    fenced = _FENCED.search(word)
    if fenced:
        yield from _as_json(fenced[1])
    # Python's own notation: tuples, single quotes, None. Deeply nested text exhausts the parser.
    with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        yield ast.literal_eval(word)
    if "{" in word or "[" in word:
        yield from _mended(fenced[1] if fenced else word)
    yield word


def _as_json(text: str) -> Iterator[Any]:
    with contextlib.suppress(ValueError, RecursionError):
        yield json.loads(text)


def _mended(text: str) -> Iterator[Any]:
    """Text that is nearly JSON, put right: a trailing comma, a comment, prose around it, an end cut off."""
    import json_repair  # in memory since `prepare`

    with contextlib.suppress(ValueError, RecursionError):
        made = json_repair.loads(text)
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
    raise ValueError(str(min(complaints, key=lambda one: one[0])[1]))


def _validator(annotation: Any, constraints: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A function that gives a valid value or raises a `ValueError` of one line."""
    try:
        adapter = _cached_adapter(annotation, tuple(constraints.items()))
    except TypeError:  # something in it has no hash
        adapter = _adapter(annotation, tuple(constraints.items()))
    return functools.partial(_validated, adapter)


def _adapter(annotation: Any, constraints: tuple[tuple[str, Any], ...]) -> Any:
    import pydantic  # in memory since `prepare`

    kept: Any = typing.Annotated[annotation, pydantic.Field(**dict(constraints))] if constraints else annotation
    try:
        return pydantic.TypeAdapter(kept)
    except pydantic.errors.PydanticSchemaGenerationError:
        # A class that pydantic knows nothing of: its instances are valid, which text never is.
        return pydantic.TypeAdapter(kept, config=pydantic.ConfigDict(arbitrary_types_allowed=True))


_cached_adapter = functools.lru_cache(maxsize=512)(_adapter)


def _validated(adapter: Any, value: Any) -> Any:
    import pydantic

    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        complaint = _in_one_line(error.errors(include_url=False, include_context=False, include_input=False))
    raise ValueError(complaint)


def _in_one_line(errors: list[Any]) -> str:
    shown = [
        ": ".join([*[".".join(str(part) for part in one["loc"])] * bool(one["loc"]), one["msg"]]) for one in errors
    ]
    return "; ".join(shown[:3]) + (f" (and {len(shown) - 3} more)" if len(shown) > 3 else "")
