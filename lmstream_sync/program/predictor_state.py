"""The state of one predictor as plain data, and what it means for another predictor of the same signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.signatures import Example, SignatureMeta
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.plain import jsonable

__all__ = ["dump_predictor", "read_predictor"]


def dump_predictor(predictor: Any) -> dict[str, Any]:
    """Demos, signature and LM of a predictor, as JSON has them.

    Raises:
        ConfigurationError: its LM cannot be written.
    """
    fields = predictor.signature.fields
    demos = list(predictor.demos)
    return {
        "demos": [
            {name: _dumped(fields.get(name), value) for name, value in dict(each.items()).items()} for each in demos
        ],
        "demo_inputs": [
            sorted(each._input_keys) if isinstance(each, Example) and each._input_keys is not None else None
            for each in demos
        ],
        "signature": {
            "instructions": predictor.signature.instructions,
            "fields": [_dumped_field(field) for field in fields.values()],
        },
        "lm": _dumped_lm(predictor.lm),
    }


def read_predictor(predictor: Any, state: Any, *, trusted: bool) -> dict[str, Any]:
    """What a state says: attribute of the predictor → its new value. Changes nothing.

    Args:
        predictor: the one it is meant for.
        state: what `dump_predictor` gave, or DSPy.
        trusted: see `lm.state.load_lm`.

    Raises:
        ConfigurationError: it is no such state, or that of another signature.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("signature"), Mapping):
        raise ConfigurationError("it is no predictor's state: it has no signature")
    demos, inputs = state.get("demos", []), state.get("demo_inputs")
    if not isinstance(demos, list) or not all(isinstance(each, Mapping) for each in demos):
        raise ConfigurationError("its demos are no list of records")
    if not isinstance(inputs, list) or len(inputs) != len(demos):
        inputs = [None] * len(demos)
    signature = _read_signature(predictor.signature, state["signature"])
    lm = state.get("lm")
    return {
        "signature": signature,
        "demos": [_read_demo(signature, demo, names) for demo, names in zip(demos, inputs, strict=True)],
        "lm": None if lm is None else _read_lm(lm, trusted),
    }


# Demos.


def _dumped(field: Field | None, value: Any) -> Any:
    """A value as JSON has it, in the form that its field's type reads again."""
    if field is None or type(value) in (str, bool, int, float, type(None)):
        return jsonable(value)
    adapter = _adapter(field.annotation)
    if adapter is None:
        return jsonable(value)
    try:
        return jsonable(adapter.dump_python(value, mode="json", warnings="error"))
    except Exception:  # a value of another type than its field's: as it is
        return jsonable(value)


def _read_demo(signature: SignatureMeta, demo: Mapping[str, Any], inputs: Any) -> Example:
    made = Example({str(name): _read_value(signature.fields.get(name), value) for name, value in demo.items()})
    return made.with_inputs(*map(str, inputs)) if isinstance(inputs, list) else made


def _read_value(field: Field | None, value: Any) -> Any:
    """A value of its field's type; one that never was of that type stays as JSON has it."""
    if field is None or field.annotation is str:
        return value
    adapter = _adapter(field.annotation)
    if adapter is None:
        return value
    import json

    try:
        return adapter.validate_json(json.dumps(value))
    except ValueError:
        return value


def _adapter(annotation: Any) -> Any:
    """pydantic's reader and writer of a type; `None` for a class that pydantic knows nothing of."""
    import pydantic

    try:
        return pydantic.TypeAdapter(annotation)
    except pydantic.errors.PydanticUserError:
        return None


# Signature.


def _dumped_field(field: Field) -> dict[str, Any]:
    state = {"name": field.name, "kind": field.kind, "description": field.desc}
    if "prefix" in field.extra:
        state["prefix"] = jsonable(field.extra["prefix"])
    return state


def _read_signature(signature: SignatureMeta, state: Mapping[str, Any]) -> SignatureMeta:
    """The predictor's signature with the instructions and descriptions of a state."""
    instructions, fields = state.get("instructions"), state.get("fields")
    if not isinstance(instructions, str) or not isinstance(fields, list):
        raise ConfigurationError("its signature has no instructions and fields")
    if not all(isinstance(each, Mapping) for each in fields):
        raise ConfigurationError("its signature's fields are no records")
    here: Any = signature
    names = list(here.fields)
    if any("name" in each for each in fields):
        _check_fields(here, fields)
        names = [each["name"] for each in fields]
    elif len(fields) != len(names):  # DSPy names none
        raise ConfigurationError(f"it has {len(fields)} fields; {here.signature!r} has {len(names)}")
    for name, each in zip(names, fields, strict=True):
        field = here.fields[name]
        changes: dict[str, Any] = {}
        desc = each.get("description")
        if isinstance(desc, str) and desc != field.desc and desc != f"${{{name}}}":  # DSPy's word for none
            changes["desc"] = desc
        if "name" in each and "prefix" in each and each["prefix"] != field.extra.get("prefix"):
            changes["prefix"] = each["prefix"]
        if changes:
            here = here.with_updated_fields(name, **changes)
    made: SignatureMeta = here if instructions == here.instructions else here.with_instructions(instructions)
    return made


def _check_fields(signature: Any, fields: list[Mapping[str, Any]]) -> None:
    saved = {str(each.get("name")): each.get("kind") for each in fields}
    own = {name: field.kind for name, field in signature.fields.items()}
    if saved == own and len(saved) == len(fields):
        return
    inputs = ", ".join(name for name, kind in saved.items() if kind == "input")
    outputs = ", ".join(name for name, kind in saved.items() if kind != "input")
    raise ConfigurationError(f"it was saved for '{inputs} -> {outputs}', this one is {signature.signature!r}")


# LM. Loaded here only where there is one.


def _dumped_lm(lm: Any) -> dict[str, Any] | None:
    if lm is None:
        return None
    from lmstream_sync.lm.state import dump_lm

    return dump_lm(lm)


def _read_lm(state: Any, trusted: bool) -> Any:
    from lmstream_sync.lm.state import load_lm

    return load_lm(state, trusted=trusted)
