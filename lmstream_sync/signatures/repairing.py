"""Text that is nearly JSON: Python's notation, and what json-repair reads (no comma, comments, an end cut off)."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["as_literal", "repaired"]

#: How often json-repair may look at a character: of a text, and for each character of it. It needs four
#: looks a character for what models write, and on some degenerate texts (`{"{"{"{"`) as many as there are characters.
_LOOKS: Final = 200_000
_LOOKS_EACH: Final = 6

_PYTHON = re.compile(r"\s*[\[{]\s*'")
#: What Python warns of: escapes that it has not, and some that it has not in bytes.
_ODD_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\[^\\'"abfnrtvxuUN0-7\n]""")
_TEXT_ESCAPE = re.compile(r"\\[uUN]")
_BYTES = re.compile(r"""[bB][rR]?['"]""")


def repaired(text: str) -> Any:
    """What a text stands for; an empty string where nothing can be made of it at reasonable cost."""
    if _PYTHON.match(text):
        made = _of_python(text)
        if made is not None:
            return made
    import json_repair  # in memory since a typed field or an adapter that reads JSON was made

    try:
        return json_repair.loads(_Watched(text), skip_json_loads=True)
    except Exception:  # it has asserts that text can break, besides what it means to raise
        return ""


def _of_python(text: str) -> Any:
    """A dict or list as Python writes it, up to its last bracket; `None` where it is none that JSON can say."""
    text = text[: max(text.rfind("}"), text.rfind("]")) + 1].lstrip()
    for made in as_literal(text):
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            return json.loads(json.dumps(made))
    return None


def as_literal(text: str) -> Iterator[Any]:
    """What a text in Python's own notation stands for; nothing where it is none.

    Text that Python would warn of, which every reader of a log would see, is none.
    """
    if _ODD_ESCAPE.search(text) or (_TEXT_ESCAPE.search(text) and _BYTES.search(text)):
        return
    # Deeply nested text exhausts the parser.
    with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        yield ast.literal_eval(text)


class _TooManyLooks(Exception):
    pass


class _Watched(str):
    """A text that counts how often it is looked at: reading happens on the event loop, which must not stand still."""

    __slots__ = ("_left",)
    _left: int

    def __new__(cls, text: str) -> _Watched:
        made = super().__new__(cls, text)
        made._left = _LOOKS + _LOOKS_EACH * len(text)
        return made

    def __getitem__(self, key: Any) -> str:
        self._left -= 1
        if self._left < 0:
            raise _TooManyLooks
        return super().__getitem__(key)
