"""One field of a signature: its name, type, meaning and what its value must satisfy.

Plain data; knows nothing of pydantic, whose words for constraints it keeps for later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lmstream_sync.errors import SignatureError

__all__ = ["MISSING", "Field", "InputField", "OutputField"]


class _Missing:
    """The absence of a default, as `None` may be one."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


#: In `Field.default`: the field has no default.
MISSING: Final = _Missing()

#: pydantic's words for what a value must satisfy, with ours for the prompt.
CONSTRAINTS: Final = {
    "gt": "greater than {}",
    "ge": "at least {}",
    "lt": "less than {}",
    "le": "at most {}",
    "multiple_of": "a multiple of {}",
    "min_length": "no shorter than {}",
    "max_length": "no longer than {}",
    "pattern": "matching the regular expression {}",
    "max_digits": "with no more than {} digits",
    "decimal_places": "with no more than {} decimal places",
    "allow_inf_nan": "",
    "strict": "",
    "union_mode": "",
    "discriminator": "",
}

#: Accepted for the sake of DSPy's and pydantic's users, kept, and of no effect.
_KEPT: Final = {"prefix", "format", "parser", "title", "examples", "json_schema_extra"}


@dataclass(frozen=True)
class Field:
    """One input or output field. Signatures hold them finished; `InputField` and `OutputField` begin them.

    Attributes:
        kind: `"input"` or `"output"`.
        name: a Python identifier.
        annotation: the type of its values; `str` where none was given.
        desc: what it means, for the prompt; empty where nothing was said.
        default: the value it takes when it is left out, or `MISSING`.
        default_factory: makes that value anew each time, or `None`.
        constraints: pydantic's words (`ge`, `max_length`, ...) for what a value must satisfy.
        extra: what else was given (`prefix`, `format`), kept and of no effect.
    """

    kind: Literal["input", "output"]
    name: str = ""
    annotation: Any = None
    desc: str = ""
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    constraints: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def has_default(self) -> bool:
        """Whether the field may be left out because a default was given."""
        return self.default is not MISSING or self.default_factory is not None

    def default_value(self) -> Any:
        """The value it takes when it is left out; call only where `has_default`."""
        return self.default_factory() if self.default_factory is not None else self.default

    def constraint_notes(self) -> list[str]:
        """The constraints in words, for the prompt."""
        return [CONSTRAINTS[key].format(value) for key, value in self.constraints.items() if CONSTRAINTS[key]]

    def updated(self, **changes: Any) -> Field:
        """A copy with attributes or constraints changed, under the names `OutputField` takes."""
        return dataclasses.replace(self, **_sorted_out(changes, self.constraints, self.extra))

    def named(self, name: str, annotation: Any) -> Field:
        """A copy that bears a name and a type."""
        return dataclasses.replace(self, name=name, annotation=annotation)


# Both give `Any` to type checkers, as pydantic's `Field` does, so that `answer: str = OutputField()` is in order.


def InputField(desc: str | None = None, **options: Any) -> Any:
    """Declare an input field of a `Signature` class.

    Args:
        desc: what it means, for the prompt.
        options: `default=` or `default_factory=` make it optional; pydantic's constraints
            (`ge=`, `max_length=`, ...) are told to the model. DSPy's `prefix` and `format`
            are accepted and have no effect.

    Raises:
        SignatureError: an option that is none of these.
    """
    return Field("input", **_sorted_out({"desc": desc, **options}))


def OutputField(desc: str | None = None, **options: Any) -> Any:
    """Declare an output field of a `Signature` class.

    Args:
        desc: what it means, for the prompt.
        options: `default=` or `default_factory=` is taken when the reply lacks the field;
            pydantic's constraints (`ge=`, `max_length=`, ...) are told to the model and hold
            when its text is parsed. DSPy's `prefix` and `format` are accepted and have no effect.

    Raises:
        SignatureError: an option that is none of these.
    """
    return Field("output", **_sorted_out({"desc": desc, **options}))


def _sorted_out(
    options: dict[str, Any], constraints: dict[str, Any] | None = None, extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The options of a field as `Field`'s attributes."""
    attributes: dict[str, Any] = {}
    constraints, extra = dict(constraints or {}), dict(extra or {})
    for key, value in options.items():
        if key in ("desc", "description"):
            if value is not None:
                attributes["desc"] = str(value)
        elif key == "default":
            attributes["default"] = MISSING if value is ... else value
        elif key in ("default_factory", "annotation"):
            attributes[key] = value
        elif key in CONSTRAINTS:
            constraints[key] = value
        elif key in _KEPT:
            extra[key] = value
        else:
            raise SignatureError(
                f"a field takes no option {key!r}; it takes desc, default, default_factory, {', '.join(CONSTRAINTS)}"
            )
    return {**attributes, "constraints": constraints, "extra": extra}
