"""`PartialJSON`: reads the JSON of one field while it comes, and says how to build the value from it.

Pure; no I/O, no locks. It is fed text in any pieces and gives the same operations however the
text is cut, but for a string's text, which comes in as many pieces. `partial_value` carries
them out. The work is linear in the text: every character is looked at a few times, and no
more than the escape or the number that a piece breaks off is kept for the next.

Only what is certain is given: a string as far as it has come, with its escapes decoded; a
number, `true`, `false`, `null` and a key when they are complete. Whatever stands before the
first bracket (prose, a code fence) is passed over. From the first thing that is no JSON on it
gives nothing more; `exact` tells of that and of everything else that `json.loads` would not
take.

JSON: RFC 8259; halves of surrogate pairs that stand alone are kept, as `json.loads` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["CLOSE", "END", "KEY", "NEXT", "OPEN_LIST", "OPEN_OBJECT", "SCALAR", "TEXT", "Operation", "PartialJSON"]

#: What to do, and with what: a string for `KEY` and `TEXT`, a value for `SCALAR`, else `None`.
Operation = tuple[int, Any]

#: Begin a list or an object in the place at hand: as the value itself, a list's next item, or
#: the value of the last key.
OPEN_LIST: Final = 0
OPEN_OBJECT: Final = 1
#: The innermost list or object is complete.
CLOSE: Final = 2
#: The key of what comes next.
KEY: Final = 3
#: A number, a word of JSON's or the beginning of a string, in the place at hand.
SCALAR: Final = 4
#: More of the string that came last.
TEXT: Final = 5
#: A comma in the outermost list: the item before it is complete, and another is to come.
NEXT: Final = 6
#: The value is complete.
END: Final = 7

_NOT_BLANK = re.compile(r"[^ \t\n\r]")
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_ESCAPE_CUT_OFF = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_CONTROL = re.compile(r"[\x00-\x1f]")
_AFTER_SCALAR = re.compile(r"[ \t\n\r,\]}]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final = {"true": True, "false": False, "null": None}
_SCALAR_BEGINS: Final = frozenset("-0123456789tfn")
_decode = json.JSONDecoder(strict=False).decode  # control characters too


class PartialJSON:
    """Reads one list or object.

    Args:
        begins: the brackets with which it may begin: `"["`, `"{"` or both.

    Attributes:
        exact: the text so far is that of a JSON value or of its beginning, with nothing but
            white space around it.
        begun: its first bracket came.
        complete: its last bracket came.
    """

    def __init__(self, begins: str = "[{") -> None:
        self.exact = True
        self.begun = False
        self.complete = False
        self._bracket = re.compile("[" + re.escape(begins) + "]")
        #: The brackets that the open lists and objects wait for.
        self._open: list[str] = []
        self._state: Callable[[str, int], int] = self._before
        #: The beginning of an escape, given again with the next piece.
        self._held = ""
        self._parts: list[str] = []
        self._in_key = False
        self._given: list[Operation] = []

    def feed(self, text: str) -> list[Operation]:
        """Take a piece; give what is to be done for it."""
        given = self._given = []
        if self._held:
            text, self._held = self._held + text, ""
        at, end = 0, len(text)
        while at < end:
            at = self._state(text, at)
        return given

    # Each state reads what stands at a place and gives the place after it.

    def _before(self, text: str, at: int) -> int:
        found = self._bracket.search(text, at)
        end = found.start() if found else len(text)
        if _NOT_BLANK.search(text, at, end):
            self.exact = False
        if found:
            self.begun = True
            self._state = self._value
        return end

    def _value(self, text: str, at: int) -> int:
        found = _NOT_BLANK.search(text, at)
        if not found:
            return len(text)
        at, sign = found.start(), found[0]
        if sign == '"':
            self._given.append((SCALAR, ""))
            return self._begin_string(at, in_key=False)
        if sign == "[":
            self._given.append((OPEN_LIST, None))
            self._open.append("]")
            self._state = self._first_item
        elif sign == "{":
            self._given.append((OPEN_OBJECT, None))
            self._open.append("}")
            self._state = self._first_key
        elif sign in _SCALAR_BEGINS:
            self._parts.clear()
            self._state = self._scalar
            return at
        else:
            return self._break_off(text)
        return at + 1

    def _first_item(self, text: str, at: int) -> int:
        return self._close_or(self._value, text, at)

    def _another_item(self, text: str, at: int) -> int:
        return self._close_or(self._value, text, at, after_comma=True)

    def _first_key(self, text: str, at: int) -> int:
        return self._close_or(self._key, text, at)

    def _another_key(self, text: str, at: int) -> int:
        return self._close_or(self._key, text, at, after_comma=True)

    def _close_or(self, otherwise: Callable[[str, int], int], text: str, at: int, *, after_comma: bool = False) -> int:
        """The innermost bracket closes here, or something else comes."""
        found = _NOT_BLANK.search(text, at)
        if not found:
            return len(text)
        if found[0] == self._open[-1]:
            if after_comma:
                self.exact = False
            return self._close(found.start())
        self._state = otherwise
        return found.start()

    def _key(self, text: str, at: int) -> int:
        if text[at] != '"':
            return self._break_off(text)
        return self._begin_string(at, in_key=True)

    def _colon(self, text: str, at: int) -> int:
        found = _NOT_BLANK.search(text, at)
        if not found:
            return len(text)
        if found[0] != ":":
            return self._break_off(text)
        self._state = self._value
        return found.end()

    def _after_value(self, text: str, at: int) -> int:
        found = _NOT_BLANK.search(text, at)
        if not found:
            return len(text)
        if found[0] == self._open[-1]:
            return self._close(found.start())
        if found[0] != ",":
            return self._break_off(text)
        in_list = self._open[-1] == "]"
        if in_list and len(self._open) == 1:
            self._given.append((NEXT, None))
        self._state = self._another_item if in_list else self._another_key
        return found.end()

    def _close(self, at: int) -> int:
        self._open.pop()
        self.complete = not self._open
        self._given.append((END if self.complete else CLOSE, None))
        self._state = self._after_end if self.complete else self._after_value
        return at + 1

    def _after_end(self, text: str, at: int) -> int:
        if _NOT_BLANK.search(text, at):
            self.exact = False
        return len(text)

    def _break_off(self, text: str) -> int:
        """What comes here is no JSON."""
        self.exact = False
        self._state = self._broken
        return len(text)

    def _broken(self, text: str, at: int) -> int:
        return len(text)

    # Strings.

    def _begin_string(self, at: int, *, in_key: bool) -> int:
        self._in_key = in_key
        self._parts.clear()
        self._state = self._string
        return at + 1

    def _string(self, text: str, at: int) -> int:
        """The string that is open, to its end or that of the piece."""
        stop, escaped, ending = at, False, ""
        while found := _QUOTE_OR_ESCAPE.search(text, stop):
            stop = found.start()
            if found[0] == '"':
                ending = "quote"
                break
            escape = _ESCAPE.match(text, stop)
            if not escape:
                ending = "cut off" if _ESCAPE_CUT_OFF.fullmatch(text, stop) else "no escape"
                break
            escaped = True
            stop = escape.end()
        else:
            stop = len(text)
        run = text[at:stop]
        if _CONTROL.search(run):
            self.exact = False
        decoded = _decode(f'"{run}"') if escaped else run
        if ending in ("", "cut off"):
            if escaped and _is_high_half(decoded[-1]) and run[-1] != decoded[-1]:
                # An escape; its other half may be on the way.
                stop, decoded = stop - len(r"\ud83d"), decoded[:-1]
            self._held = text[stop:]
        if decoded:
            self._add(decoded)
        if ending == "quote":
            return self._end_string(stop)
        return self._break_off(text) if ending == "no escape" else len(text)

    def _add(self, decoded: str) -> None:
        if self._in_key:
            self._parts.append(decoded)
        elif self._given and self._given[-1] == (SCALAR, ""):
            self._given[-1] = (SCALAR, decoded)  # the string began in this piece
        else:
            self._given.append((TEXT, decoded))

    def _end_string(self, at: int) -> int:
        if self._in_key:
            self._given.append((KEY, "".join(self._parts)))
            self._state = self._colon
        else:
            self._state = self._after_value
        return at + 1

    # Numbers and words.

    def _scalar(self, text: str, at: int) -> int:
        found = _AFTER_SCALAR.search(text, at)
        end = found.start() if found else len(text)
        self._parts.append(text[at:end])
        if not found:
            return end
        token = "".join(self._parts)
        try:
            value = _WORDS[token] if token in _WORDS else _number(token)
        except ValueError:
            return self._break_off(text)
        self._given.append((SCALAR, value))
        self._state = self._after_value
        return end


def _number(token: str) -> int | float:
    """A number of JSON's. Raises a ValueError for all else, and for more digits than Python takes."""
    found = _NUMBER.fullmatch(token)
    if not found:
        raise ValueError(f"{token[:20]!r} is no number")
    return float(token) if found[1] or found[2] else int(token)


def _is_high_half(char: str) -> bool:
    """Whether it is the first half of a surrogate pair."""
    return "\ud800" <= char <= "\udbff"
