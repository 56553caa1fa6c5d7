"""Modules within modules: in attributes, lists, tuples and dicts, each met once.

Knows of a module only its attributes, and `_leaves`, the names of those that hold none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["replaced", "walk"]

M = TypeVar("M")


def walk(root: M, kind: type[M]) -> Iterator[tuple[str, M]]:
    """Each module from `root` on, with its path: `""`, `draft`, `steps[0].predict`, `by_name['k']`.

    In the order of the attributes, inner ones right after their holder. What can be reached
    on several paths, in cycles too, comes once, under the first.
    """
    seen: set[int] = set()
    ahead: list[tuple[str, Any]] = [("", root)]
    while ahead:
        path, value = ahead.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, kind):
            yield path, value
        holders = (kind, list, tuple, dict)
        ahead += reversed([each for each in _inside(path, value) if isinstance(each[1], holders)])


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a module or container holds, each with its path."""
    if isinstance(value, dict):
        yield from ((f"{path}[{key!r}]", inner) for key, inner in list(value.items()))
    elif isinstance(value, (list, tuple)):
        yield from ((f"{path}[{index}]", inner) for index, inner in enumerate(value))
    else:
        prefix = f"{path}." if path else ""
        yield from ((f"{prefix}{name}", inner) for name, inner in _attributes(value))


def _attributes(module: Any) -> list[tuple[str, Any]]:
    return [(name, inner) for name, inner in list(vars(module).items()) if name not in module._leaves]


def replaced(value: Any, kind: type, new: Mapping[int, Any], seen: set[int]) -> Any:
    """A module or container with others in the place of some modules, on every path.

    Changed in place, but a tuple, which is made anew.

    Args:
        value: where to begin.
        kind: the class of modules.
        new: id of a module → what takes its place.
        seen: ids of what was dealt with; give an empty set.
    """
    if id(value) in new:
        return new[id(value)]
    if id(value) in seen or not isinstance(value, (kind, list, tuple, dict)):
        return value
    seen.add(id(value))
    if isinstance(value, tuple):
        inner = [replaced(each, kind, new, seen) for each in value]
        if all(after is before for after, before in zip(inner, value, strict=True)):
            return value
        return type(value)(*inner) if hasattr(value, "_fields") else type(value)(inner)
    if isinstance(value, dict):
        places = list(value.items())
    elif isinstance(value, list):
        places = list(enumerate(value))
    else:
        for name, before in _attributes(value):
            after = replaced(before, kind, new, seen)
            if after is not before:
                setattr(value, name, after)
        return value
    for place, before in places:
        after = replaced(before, kind, new, seen)
        if after is not before:
            value[place] = after
    return value
