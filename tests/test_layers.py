"""Imports point one way, downwards; the source is read, so imports inside functions count too."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "lmstream_sync"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

#: The rooms from the top down. A room may import those below it, and itself; rooms of one line do not know each other.
ORDER = [
    {"__main__"},
    {"cli"},
    {"web", "relay", "bridges", "testing"},
    {"streaming"},
    {"program"},
    {"adapters"},
    {"signatures"},
    {"lm"},
    {"runtime"},
    {"callbacks"},
    {"settings", "events", "errors"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}

#: What a room must not know although it lies below.
STRANGERS = {
    "adapters": {"lm", "program"},
    "signatures": {"lm", "adapters"},
}

#: Each of these is known to one file only.
ONE_FILE_EACH = ["janus", "tenacity", "cachetools", "litellm", "msgspec"]

MODULES = {
    ".".join([PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imported(name: str, path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file, in full."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name"
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def own_imports(name: str, path: Path) -> set[str]:
    return {target for target in imported(name, path) if target.split(".")[0] == PACKAGE} - {name}


IMPORTS = {name: own_imports(name, path) for name, path in MODULES.items()}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_file_has_its_room() -> None:
    assert {room(name) for name in MODULES} - {""} <= LEVEL.keys()


def test_imports_point_down() -> None:
    upwards = [
        f"{name} imports {target}"
        for name, targets in IMPORTS.items()
        for target in sorted(targets)
        if name != PACKAGE
        and room(target) != room(name)
        and (target == PACKAGE or LEVEL[room(target)] <= LEVEL[room(name)])
    ]
    assert upwards == []


def test_rooms_do_not_know_strangers() -> None:
    met = [
        f"{name} imports {target}"
        for name, targets in IMPORTS.items()
        for target in sorted(targets)
        if room(target) in STRANGERS.get(room(name), ())
    ]
    assert met == []


def test_words_know_nothing() -> None:
    for name in ("settings", "events", "errors"):
        assert IMPORTS[f"{PACKAGE}.{name}"] == set()


def test_no_cycles() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("library", ONE_FILE_EACH)
def test_one_file_knows(library: str) -> None:
    knowing = [
        name
        for name, path in MODULES.items()
        if any(target.split(".")[0] == library for target in imported(name, path))
    ]
    assert len(knowing) == 1, f"{library} is imported by {knowing}"


def test_a_file_knows_one_of_them() -> None:
    for name, path in MODULES.items():
        known = {target.split(".")[0] for target in imported(name, path)} & set(ONE_FILE_EACH)
        assert len(known) <= 1, f"{name} imports {sorted(known)}"


def test_the_check_sees_what_it_should(tmp_path: Path) -> None:
    """An import in a function, and one for type checkers only, both count."""
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import lmstream_sync.lm\n"
        "def f():\n    from lmstream_sync.streaming import emit\n    from lmstream_sync import errors\n"
    )
    assert own_imports("x", path) == {"lmstream_sync.lm", "lmstream_sync.streaming", "lmstream_sync.errors"}


def test_every_pair_of_rooms_is_ordered_or_apart() -> None:
    seen = list(itertools.chain.from_iterable(ORDER))
    assert len(seen) == len(set(seen))
