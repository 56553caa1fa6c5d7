"""JSON schemas of a tool's arguments, joined to one as the wire format wants it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmstream_sync.errors import ConfigurationError

__all__ = ["inlined", "parameters_schema"]

_DEFINITIONS = "$defs"
_PREFIX = f"#/{_DEFINITIONS}/"


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its definitions put where they are used, so that it can stand within another.

    One that refers to itself cannot be written so, and keeps them.
    """
    definitions: Mapping[str, Any] = schema.get(_DEFINITIONS) or {}
    if not definitions:
        return schema
    bare = {key: value for key, value in schema.items() if key != _DEFINITIONS}
    try:
        made: dict[str, Any] = _resolved(bare, definitions, ())
    except _RefersToItself:
        return schema
    return made


class _RefersToItself(Exception):
    """A definition that holds itself."""


def _resolved(part: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_resolved(each, definitions, within) for each in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    others = {key: _resolved(value, definitions, within) for key, value in part.items() if key != "$ref"}
    if not isinstance(reference, str) or not reference.startswith(_PREFIX):
        return {**others, "$ref": reference} if "$ref" in part else others
    name = reference[len(_PREFIX) :]
    if name in within:
        raise _RefersToItself
    # What stands beside a reference (a description, a default) is of this place and wins.
    return {**_resolved(definitions[name], definitions, (*within, name)), **others}


def parameters_schema(
    arguments: Mapping[str, Mapping[str, Any]], required: Iterable[str], *, more_allowed: bool
) -> dict[str, Any]:
    """The schema of an object with these arguments.

    Args:
        arguments: argument → schema.
        required: the arguments that must be given.
        more_allowed: whether others than these may be given.

    Raises:
        ConfigurationError: two arguments have types of one name that hold themselves and differ.
    """
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, schema in arguments.items():
        properties[name] = {key: value for key, value in schema.items() if key != _DEFINITIONS}
        for type_name, definition in (schema.get(_DEFINITIONS) or {}).items():
            if definitions.setdefault(type_name, definition) != definition:
                raise ConfigurationError(f"two types of a tool's arguments are named {type_name}; rename one of them")
    made: dict[str, Any] = {"type": "object", "properties": properties, "required": list(required)}
    if more_allowed:
        made["additionalProperties"] = True
    return {**made, _DEFINITIONS: definitions} if definitions else made
