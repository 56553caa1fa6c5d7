"""What a program takes: its inputs by name, each with its type, and values from outside made to fit them.

Only what a program names is an input. What it takes besides (`**options`, a predictor's
`lm=` and `config=`) is for the code that calls it, and is nothing that a client may send.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.program import Module
from lmstream_sync.program.arguments import hints_of
from lmstream_sync.program.entries import FOUR, nearest
from lmstream_sync.signatures import Field, SignatureMeta
from lmstream_sync.signatures.annotations import is_optional, members, type_name
from lmstream_sync.signatures.validating import validator
from lmstream_sync.streaming.running import program_of
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.json_text import read_json

__all__ = ["ProgramInput", "inputs_of"]


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program.

    Attributes:
        name: its name.
        annotation: its type; `Any` where none is known.
        required: whether it must be given.
        constraints: pydantic's words for what a value must satisfy.
    """

    name: str
    annotation: Any = Any
    required: bool = True
    constraints: Mapping[str, Any] = field(default_factory=dict)

    def of_json(self, value: Any) -> Any:
        """A JSON value as the type has it.

        Raises:
            RequestError: it does not fit.
        """
        try:
            return self._fitting(value)
        except ValueError as error:
            raise self._refused(str(error)) from None

    def of_texts(self, texts: Sequence[str]) -> Any:
        """What stood in a query or a form, once or several times, as the type has it.

        A text counts as it is, or, where that does not fit, as the JSON it is; several are a list.

        Raises:
            RequestError: it does not fit.
        """
        if self.annotation is str and len(texts) > 1:
            raise self._refused("it is given more than once")
        complaints = []
        for reading in self._readings(texts):
            try:
                return self._fitting(reading())
            except ValueError as error:
                complaints.append(str(error))
        meant_json = len(texts) == 1 and texts[0][:1] in ("[", "{")
        raise self._refused(complaints[:2][-1] if meant_json else complaints[0])

    def _readings(self, texts: Sequence[str]) -> list[Callable[[], Any]]:
        if self.annotation is str:
            return [lambda: texts[0]]
        several: list[Callable[[], Any]] = [lambda: list(texts), lambda: [read_json(text) for text in texts]]
        if len(texts) > 1:
            return several
        nothing = [lambda: None] if not texts[0] and is_optional(self.annotation) else []
        return [lambda: texts[0], lambda: read_json(texts[0]), *nothing, *several]

    def _fitting(self, value: Any) -> Any:
        if self.annotation is Any:
            return value
        if self.annotation is str and not self.constraints:
            if type(value) is not str:
                raise ValueError("Input should be a string")
            return value
        kinds = members(self.annotation)
        # To Python a truth value is a whole number; nobody who sends one means that.
        if isinstance(value, bool) and kinds & {int, float} and not kinds & {bool, Any, object}:
            raise ValueError("Input should be a number")
        return validator(self.annotation, self.constraints)(value)

    def _refused(self, complaint: str) -> RequestError:
        message = f"the input {self.name!r} is no {type_name(self.annotation)}: {complaint}"
        return RequestError(422, message, field=self.name)


def inputs_of(program: Any) -> dict[str, ProgramInput]:
    """Name → input of a program.

    Args:
        program: a `Module`, a function, another callable, or what `streamify` made of one. A
            module's inputs are the parameters of its `forward` (or whichever of the four methods
            it has); where that takes `**inputs`, the input fields of its signature.

    Raises:
        ConfigurationError: it does not say what it takes.
    """
    streamified = program_of(program)
    if streamified is not None:
        return inputs_of(streamified)
    if not callable(program):
        raise ConfigurationError(f"{program!r} is no program: give a Module or a function")
    entry = (
        getattr(program, nearest(type(program), Module, *FOUR) or "forward") if isinstance(program, Module) else program
    )
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):
        raise ConfigurationError(f"{_name(program)} does not tell what it takes; wrap it in a function") from None
    fields = _fields_of(program)
    found: dict[str, ProgramInput] = {}
    hints = hints_of(entry)
    fixed = _fixed(program)
    for parameter in parameters:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name in fixed:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigurationError(f"{_name(program)}: {name!r} can only be given by its place; inputs have names")
        if name in fields and parameter.annotation is parameter.empty:
            found[name] = _of_field(name, fields[name])
            continue
        if name not in hints and isinstance(parameter.annotation, str):
            raise ConfigurationError(f"{_name(program)}: the type of {name!r} is not known: {parameter.annotation}")
        annotation = hints.get(name, parameter.annotation)
        annotation = Any if annotation is parameter.empty else annotation
        found[name] = ProgramInput(name, annotation, parameter.default is parameter.empty)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        more = fields or _inputs_within(program)
        found |= {name: _of_field(name, each) for name, each in more.items() if name not in found}
        if not found:
            raise ConfigurationError(
                f"{_name(program)} takes inputs of any name; name them, so that a client can send those and no others: "
                "write them out as parameters, or give the module a signature"
            )
    return found


def _of_field(name: str, each: Field | ProgramInput) -> ProgramInput:
    if isinstance(each, ProgramInput):
        return each
    required = not each.has_default and not is_optional(each.annotation)
    return ProgramInput(name, each.annotation, required, each.constraints)


def _fields_of(program: Any) -> Mapping[str, Field]:
    signature = getattr(program, "signature", None) if isinstance(program, Module) else None
    return signature.input_fields if isinstance(signature, SignatureMeta) else {}


def _inputs_within(program: Any) -> Mapping[str, Field | ProgramInput]:
    """Of a module that hands on what it is given (`ChainOfThought`, `BestOfN`), what the one within takes."""
    if not isinstance(program, Module):
        return {}
    inner = getattr(program, "module", None)
    if isinstance(inner, Module):
        return inputs_of(inner)
    predictors = [predictor for _, predictor in program.named_predictors()]
    return _fields_of(predictors[0]) if len(predictors) == 1 else {}


def _fixed(program: Any) -> frozenset[str]:
    """The arguments that a `functools.partial` has already: they are the program's, not the client's."""
    names: set[str] = set()
    while isinstance(program, functools.partial):
        names |= program.keywords.keys()
        program = program.func
    return frozenset(names)


def _name(program: Any) -> str:
    return getattr(program, "__qualname__", type(program).__name__)
