"""Signatures: what goes into a predictor and what comes out, by name and type.

A signature is a class, whether written as one or made from a string, so both give the
same kind of thing. It is no pydantic model: pydantic is needed only where a typed value
is parsed (`values.py`).
"""

from __future__ import annotations

import copyreg
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.names import is_type
from lmstream_sync.signatures.spec import parse_spec
from lmstream_sync.signatures.values import prepare

__all__ = ["Signature", "SignatureLike", "SignatureMeta", "ensure_signature", "inputs_of", "outputs_of"]


class SignatureMeta(type):
    """Makes signature classes, and gives each what it is asked for by name: `QA.fields`, `QA.instructions`."""

    _fields: dict[str, Field]
    #: Names whose annotation could not be resolved yet: a class that stands further down.
    _forward: set[str]
    _instructions: str | None
    #: What `remembered` functions worked out.
    _memory: dict[Any, Any]
    #: Inputs and outputs apart, once somebody asked.
    _by_kind: tuple[dict[str, Field], dict[str, Field]] | None

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> SignatureMeta:
        declared = {key: value for key, value in namespace.items() if isinstance(value, Field)}
        # Fields leave the class body: one named `fields` or `copy` must not hide anything.
        body = {key: value for key, value in namespace.items() if key not in declared}
        cls = super().__new__(mcs, name, bases, body, **options)
        cls._fields, cls._forward = {}, set()
        cls._memory, cls._by_kind = {}, None
        cls._instructions = None
        parents = [parent for parent in reversed(cls.__mro__[1:]) if isinstance(parent, SignatureMeta)]
        for parent in parents:
            cls._fields.update(parent._fields)
            cls._forward |= parent._forward
            cls._instructions = parent._instructions or cls._instructions
        if parents:
            if body.get("__doc__"):
                cls._instructions = inspect.cleandoc(body["__doc__"])
            _take_fields(cls, declared)
        return cls

    def __call__(cls, spec: Any = "", instructions: str = "", **options: Any) -> type[Signature]:
        """Make a signature; see `Signature`."""
        if cls is not Signature:
            raise SignatureError(
                f"{cls.__name__} is a signature and is not called itself; "
                f"lms.Predict({cls.__name__})(...) makes a predictor of it and calls that"
            )
        return _make(spec, instructions, **options)

    @property
    def instructions(cls) -> str:
        """What the model is to do: the class's docstring, what was given, or a sentence made of the fields."""
        if cls._instructions:
            return cls._instructions
        outputs = ", ".join(f"`{name}`" for name in cls.output_fields)
        if not cls.input_fields:
            return f"Write {outputs}."
        return f"From {', '.join(f'`{name}`' for name in cls.input_fields)}, work out {outputs}."

    @property
    def fields(cls) -> dict[str, Field]:
        """Name → `Field`, inputs first."""
        inputs, outputs = cls._sorted()
        return {**inputs, **outputs}

    @property
    def input_fields(cls) -> dict[str, Field]:
        """Name → `Field` of what is given."""
        return cls._sorted()[0].copy()

    @property
    def output_fields(cls) -> dict[str, Field]:
        """Name → `Field` of what is answered."""
        return cls._sorted()[1].copy()

    @property
    def signature(cls) -> str:
        """The names as a string: `"question, context -> answer"`."""
        return f"{', '.join(cls.input_fields)} -> {', '.join(cls.output_fields)}".strip()

    def __repr__(cls) -> str:
        return f"{cls.__name__}({cls.signature})"

    def _sorted(cls) -> tuple[dict[str, Field], dict[str, Field]]:
        """The input fields and the output fields, each with its type; not to be changed."""
        known = cls._by_kind
        if known is None or cls._forward:
            fields = cls._resolved()
            known = cls._by_kind = (
                {name: field for name, field in fields.items() if field.kind == "input"},
                {name: field for name, field in fields.items() if field.kind == "output"},
            )
        return known

    def _resolved(cls) -> dict[str, Field]:
        """The fields, each with its type; names that stood further down exist by now."""
        for name in list(cls._forward):
            field = cls._fields[name]
            try:
                annotation = _evaluated(field.annotation, vars(sys.modules[cls.__module__]), {})
            except NameError as error:
                raise SignatureError(f"the type of {cls.__name__}.{name} is not known: {error}") from None
            cls._fields[name] = field.named(name, annotation)
            cls._forward.discard(name)
            cls._memory.clear()
            prepare(cls._fields[name])
        return cls._fields


def inputs_of(signature: SignatureMeta) -> Mapping[str, Field]:
    """`signature.input_fields`, not to be changed: no dict of one's own, for what looks at every call."""
    known = signature._by_kind
    return known[0] if known is not None and not signature._forward else signature._sorted()[0]


def outputs_of(signature: SignatureMeta) -> Mapping[str, Field]:
    """`signature.output_fields`, not to be changed."""
    known = signature._by_kind
    return known[1] if known is not None and not signature._forward else signature._sorted()[1]


class Signature(metaclass=SignatureMeta):
    """What goes into a predictor and what comes out.

    Written as a class, its docstring says what the model is to do:

        class QA(lms.Signature):
            \"\"\"Answer in one sentence.\"\"\"

            question: str = lms.InputField()
            answer: str = lms.OutputField(desc="no more than ten words")

    or made by calling: `lms.Signature("question, context: list[str] -> answer", "Answer in one sentence.")`.
    The call takes a string, a dict (name → field, type, or both as a tuple) or another
    signature, then the instructions; `custom_types=` gives types by the names that stand in
    the string (names that the calling code can see are found without), `signature_name=` a name.

    A signature never changes; `with_instructions`, `append`, `insert` and the like give a new one.

    Raises:
        SignatureError: it does not parse, or a field is not declared as one.
    """

    if TYPE_CHECKING:
        # To type checkers `Signature("a -> b")` is an instance: it takes these and has what the class has.
        def __new__(
            cls,
            spec: Any,
            instructions: str = "",
            signature_name: str = "StringSignature",
            custom_types: Mapping[str, Any] | None = None,
        ) -> Signature: ...

        instructions: ClassVar[str]
        fields: ClassVar[dict[str, Field]]
        input_fields: ClassVar[dict[str, Field]]
        output_fields: ClassVar[dict[str, Field]]
        signature: ClassVar[str]

    @classmethod
    def with_instructions(cls, instructions: str) -> type[Signature]:
        """The same fields with other instructions."""
        return _build(cls.fields, instructions, cls.__name__)

    @classmethod
    def append_instructions(cls, instructions: str) -> type[Signature]:
        """The same fields, with a paragraph added to the instructions."""
        return cls.with_instructions(f"{cls.instructions}\n\n{instructions}")

    @classmethod
    def with_updated_fields(cls, name: str, type_: Any = None, **changes: Any) -> type[Signature]:
        """One field with another type, or other options of `InputField` and `OutputField`.

        Raises:
            SignatureError: there is no such field.
        """
        if name not in cls.fields:
            raise SignatureError(f"{cls.__name__} has no field {name!r}; it has {', '.join(cls.fields)}")
        changed = cls.fields[name].updated(**changes)
        if type_ is not None:
            changed = changed.named(name, type_)
        return _build({**cls.fields, name: changed}, cls._instructions, cls.__name__)

    @classmethod
    def prepend(cls, name: str, field: Field, type_: Any = None) -> type[Signature]:
        """A field more, before all others of its kind."""
        return cls.insert(0, name, field, type_)

    @classmethod
    def append(cls, name: str, field: Field, type_: Any = None) -> type[Signature]:
        """A field more, after all others of its kind."""
        return cls.insert(-1, name, field, type_)

    @classmethod
    def insert(cls, index: int, name: str, field: Field, type_: Any = None) -> type[Signature]:
        """A field more.

        Args:
            index: where among the fields of its kind; -1 is the end.
            name: its name; a field that has it already moves here.
            field: an `InputField` or `OutputField`.
            type_: its type; `str` where neither this nor the field names one.

        Raises:
            SignatureError: no such place, or `field` is no field.
        """
        if not isinstance(field, Field):
            raise SignatureError(f"{name!r} must be an InputField or OutputField, and is a {type(field).__name__}")
        _check_name(name)
        annotation = type_ if type_ is not None else (field.annotation if field.annotation is not None else str)
        others = [(key, value) for key, value in cls.fields.items() if key != name]
        alike = [item for item in others if item[1].kind == field.kind]
        place = index if index >= 0 else len(alike) + 1 + index
        if not 0 <= place <= len(alike):
            raise SignatureError(f"there is no place {index} among {len(alike)} {field.kind} fields")
        alike.insert(place, (name, field.named(name, annotation)))
        unlike = [item for item in others if item[1].kind != field.kind]
        return _build(dict(alike + unlike), cls._instructions, cls.__name__)

    @classmethod
    def delete(cls, name: str) -> type[Signature]:
        """Without one field; the same where there is none of that name."""
        return _build({key: value for key, value in cls.fields.items() if key != name}, cls._instructions, cls.__name__)

    @classmethod
    def equals(cls, other: Any) -> bool:
        """Whether another signature has the same instructions and the same fields."""
        return (
            isinstance(other, SignatureMeta)
            and cls.instructions == other.instructions
            and list(cls.fields.items()) == list(other.fields.items())
        )


#: What is accepted where a signature is wanted. The instance is there for type checkers, to
#: whom `Signature("a -> b")` looks like one.
SignatureLike = typing.Union[str, type[Signature], Signature]  # noqa: UP007  # at run time on 3.10


def ensure_signature(signature: Any, instructions: str | None = None) -> type[Signature]:
    """A signature of whatever stands for one: a string, a dict or a signature.

    Args:
        signature: a string as `Signature` takes it, or a signature.
        instructions: replaces its instructions where given.

    Raises:
        SignatureError: it is neither, or does not parse.
    """
    if isinstance(signature, SignatureMeta) and not instructions:
        if signature is Signature:
            raise SignatureError("lms.Signature itself has no fields; write a subclass or lms.Signature('a -> b')")
        return typing.cast("type[Signature]", signature)
    return _make(signature, instructions or "")


def _make(
    spec: Any,
    instructions: str = "",
    signature_name: str = "StringSignature",
    custom_types: Mapping[str, Any] | None = None,
) -> type[Signature]:
    """A signature of a string, a dict or another signature."""
    if isinstance(spec, SignatureMeta):
        return _build(spec.fields, instructions or spec._instructions, spec.__name__)
    if isinstance(spec, str):
        fields = {
            one.name: Field(one.kind, one.name, one.annotation) for one in parse_spec(spec, custom_types=custom_types)
        }
    elif isinstance(spec, Mapping):
        fields = {name: _as_field(name, value) for name, value in spec.items()}
    else:
        raise SignatureError(
            f"a signature is a string such as 'question -> answer' or a subclass of lms.Signature, not {spec!r:.80}"
        )
    return _build(fields, instructions, signature_name)


def _as_field(name: Any, value: Any) -> Field:
    """A field of a dict's item: a `Field`, or `(type, Field)`."""
    _check_name(name)
    annotation, field = value if isinstance(value, tuple) and len(value) == 2 else (None, value)
    if not isinstance(field, Field):
        raise SignatureError(f"{name!r} must be an InputField or OutputField, or (type, field)")
    if annotation is None:
        annotation = field.annotation if field.annotation is not None else str
    return field.named(name, annotation)


def _build(fields: Mapping[str, Field], instructions: str | None, name: str) -> type[Signature]:
    """A new signature class of finished fields."""
    made = SignatureMeta(name, (Signature,), {"__module__": __name__})
    made._fields, made._by_kind = dict(fields), None
    made._instructions = inspect.cleandoc(instructions) if instructions else None
    for field in fields.values():
        prepare(field)
    return typing.cast("type[Signature]", made)


def _take_fields(cls: SignatureMeta, declared: Mapping[str, Field]) -> None:
    """Put what a class body declares into the class, each field with its type."""
    try:
        annotations: dict[str, Any] = dict(inspect.get_annotations(cls))
    except NameError:  # Python 3.14 evaluates here; some name stands further down
        annotations = {name: name for name in declared}
    for name, annotation in annotations.items():
        hidden = name.startswith("_") or "ClassVar" in str(annotation)
        if name not in declared and not hidden:
            raise SignatureError(
                f"{cls.__name__}.{name} must say what it is: {name}: ... = lms.InputField() or lms.OutputField()"
            )
    caller = _frame_outside()
    scope = (caller.f_globals, dict(caller.f_locals)) if caller is not None else ({}, {})
    for name, field in declared.items():
        _check_name(name)
        annotation = annotations.get(name, str)
        try:
            annotation = _evaluated(annotation, *scope)
        except NameError:
            cls._forward.add(name)
        else:
            cls._forward.discard(name)
            if not is_type(annotation):
                raise SignatureError(f"the type of {cls.__name__}.{name} is no type: {annotation!r}")
        cls._fields[name] = field.named(name, annotation)
        if name not in cls._forward:
            prepare(cls._fields[name])


def _evaluated(annotation: Any, scope: dict[str, Any], names: dict[str, Any]) -> Any:
    """An annotation as Python means it, where the module defers annotations (PEP 563)."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    found = typing.get_type_hints(holder, scope, names, include_extras=True)["it"]
    return None if found is type(None) else found


def _frame_outside() -> types.FrameType | None:
    """The frame of the code that wrote the class statement."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
        frame = frame.f_back
    return frame


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise SignatureError(f"{name!r} is no field name; it is written as a Python variable, with no underscore first")


def _pickled(cls: SignatureMeta) -> str | tuple[Any, ...]:
    """A class that can be imported by its name is pickled by it, another by its parts."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is cls:
        name: str = cls.__qualname__
        return name
    return _build, (cls.fields, cls._instructions, cls.__name__)


copyreg.pickle(SignatureMeta, _pickled)
