"""Finding the fields of a JSON object in text that comes in pieces.

A pushdown automaton: its state is a method, its stack the open brackets. Runs of plain
characters are skipped by regular expressions, nothing is looked at twice, and brackets nest
as deep as they like.

Read beyond JSON, as what is meant is certain: a comma before a closing bracket, Python's
`True`, `False` and `None`, control characters and invalid escapes in strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from lmstream_sync.adapters.json_strings import StringDecoder

__all__ = ["ObjectScanner", "Token"]

_BLANKS = re.compile(r"[ \t\r\n]*")
_QUOTE_OR_BACKSLASH = re.compile(r'["\\]')
_WORD_RUN = re.compile(r"[-+.0-9A-Za-z]*")
_NUMBER_RUN = re.compile(r"[-+.0-9eE]*")

_LITERALS: Final = ("true", "false", "null", "True", "False", "None", "NaN", "Infinity", "-Infinity")
_WORD = re.compile(rf"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|{'|'.join(_LITERALS)}")
_BEGUN_LITERALS = "|".join(sorted({word[:end] for word in _LITERALS for end in range(1, len(word) + 1)}))
_BEGUN_WORD = re.compile(rf"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]*)?)?|{_BEGUN_LITERALS}")
#: A longer word can only be a number; it is checked as a whole where it ends.
_LONGEST_CHECKED: Final = 64

_CLOSING = {"{": "}", "[": "]"}


class Token(NamedTuple):
    """What a piece shows of the fields.

    Attributes:
        kind: `"string"` or `"value"`: the value of the field named `text` begins, a string
            or anything else; `"text"`: more of it, decoded for a string, as it stands for
            anything else; `"end"`: it is complete; `"broken"`: from here on the text is no JSON.
        text: the field's name, or the text.
    """

    kind: Literal["string", "value", "text", "end", "broken"]
    text: str


class ObjectScanner:
    """Reads the first object that has one of the fields; what is before and after it is noise.

    An object begins with a `{` that is followed, after blanks at most, by a key in double
    quotes, a colon and a value: prose may hold any other brace. One that ends, or breaks,
    before any field's value has begun was not the one, and the search goes on behind.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._state: Callable[[ObjectScanner, str, int], int] = ObjectScanner._seek
        self._tokens: list[Token] = []
        #: Characters in the pieces before this one.
        self._offset = 0
        #: The open brackets; the outermost is the object's own.
        self._stack: list[str] = []
        self._decoder = StringDecoder()
        self._key: list[str] = []
        self._key_begin = self._key_end = 0
        #: What follows a string that is skipped.
        self._then: Callable[[ObjectScanner, str, int], int] = ObjectScanner._after_value
        self._word: list[str] = []
        self._word_length = 0
        #: Where in this piece the source of the field's value begins; -1 where none is being read.
        self._source = -1
        #: The field whose value is or was read last; `None` for a key that is no field.
        self.field: str | None = None
        #: Whether the object is found: it has a field.
        self.found = False
        #: Whether the object has ended, by its closing brace.
        self.ended = False
        #: Whether what follows is no JSON.
        self.broken = False
        #: Where in the reply the key stands whose value was read last, or was being read. All before it is certain.
        self.doubt = 0

    def scan(self, text: str) -> list[Token]:
        """Take a piece; give what it shows of the fields."""
        self._tokens = []
        at, end = 0, len(text)
        while at < end:
            at = self._state(self, text, at)
        if self._source >= 0:
            self._give(text[self._source :])
            self._source = 0
        self._offset += end
        return self._tokens

    def takes_text(self, text: str) -> bool:
        """Take a piece that is nothing but text of the field's string, as most are; any other is left for `scan`."""
        if self._state is not ObjectScanner._in_string or '"' in text or "\\" in text or self._decoder.waits:
            return False
        self._offset += len(text)
        return True

    def closing(self) -> str:
        """What the value that is being read lacks to its end."""
        in_string = self._state is ObjectScanner._skipped
        return '"' * in_string + "".join(_CLOSING[one] for one in reversed(self._stack[1:]))

    # The states: each reads on from `at` and gives how far it came.

    def _seek(self, text: str, at: int) -> int:
        brace = text.find("{", at)
        if brace < 0:
            return len(text)
        self._state = ObjectScanner._opened
        return brace + 1

    def _opened(self, text: str, at: int) -> int:
        at = _skip_blanks(text, at)
        if at < len(text):
            if text[at] != '"':
                self._state = ObjectScanner._seek
                return at
            self._stack = ["{"]
            return self._begin_key(at)
        return at

    def _before_key(self, text: str, at: int) -> int:
        at = _skip_blanks(text, at)
        if at < len(text):
            if text[at] == '"':
                return self._begin_key(at)
            if text[at] == "}":
                return self._close(text, at)
            return self._break(text, at)
        return at

    def _in_key(self, text: str, at: int) -> int:
        part, end = self._decoder.read(text, at)
        self._key.append(part)
        if end < 0:
            return len(text)
        self._key_end = self._offset + end
        self._state = ObjectScanner._before_colon
        return end

    def _before_colon(self, text: str, at: int) -> int:
        at = _skip_blanks(text, at)
        if at < len(text):
            if text[at] != ":":
                if self._took_a_brace():
                    return self._begin_key_again(at)
                return self._break(text, at)
            if len(self._stack) == 1:
                name = "".join(self._key)
                self.field = name if name in self._names else None
                self.doubt = self._key_begin
            self._state = ObjectScanner._before_value
            return at + 1
        return at

    def _before_value(self, text: str, at: int) -> int:
        at = _skip_blanks(text, at)
        if at == len(text):
            return at
        first = text[at]
        if first == '"':
            if len(self._stack) == 1 and self.field is not None:
                self._begin("string")
                self._decoder = StringDecoder()
                self._state = ObjectScanner._in_string
            else:
                self._skip_string(ObjectScanner._after_value)
            return at + 1
        if first == "]" and self._stack[-1] == "[":
            return self._close(text, at)
        if first in "{[":
            self._begin_source(at)
            self._stack.append(first)
            self._state = ObjectScanner._before_key if first == "{" else ObjectScanner._before_value
            return at + 1
        if first in "-0123456789" or (first.isascii() and first.isalpha()):
            if not _BEGUN_WORD.fullmatch(first):
                return self._break(text, at)
            self._begin_source(at)
            self._word, self._word_length = [], 0
            self._state = ObjectScanner._in_word
            return at
        return self._break(text, at)

    def _in_string(self, text: str, at: int) -> int:
        part, end = self._decoder.read(text, at)
        self._give(part)
        if end < 0:
            return len(text)
        self._end_value()
        return end

    def _skipped(self, text: str, at: int) -> int:
        found = _QUOTE_OR_BACKSLASH.search(text, at)
        if found is None:
            return len(text)
        self._state = self._then if found[0] == '"' else ObjectScanner._skipped_escape
        return found.end()

    def _skipped_escape(self, text: str, at: int) -> int:
        self._state = ObjectScanner._skipped
        return at + 1

    def _in_word(self, text: str, at: int) -> int:
        short = self._word_length <= _LONGEST_CHECKED
        run = (_WORD_RUN if short else _NUMBER_RUN).match(text, at)
        end = run.end() if run else at
        self._word.append(text[at:end])
        self._word_length += end - at
        if end < len(text):
            if not _WORD.fullmatch("".join(self._word)):
                return self._break(text, end)
            if len(self._stack) == 1:
                self._end_source(text, end)
            self._state = ObjectScanner._after_value
        elif short and not _BEGUN_WORD.fullmatch("".join(self._word)):
            return self._break(text, end)
        return end

    def _after_value(self, text: str, at: int) -> int:
        at = _skip_blanks(text, at)
        if at < len(text):
            bracket = self._stack[-1]
            if text[at] == ",":
                self._state = ObjectScanner._before_key if bracket == "{" else ObjectScanner._before_value
                return at + 1
            if text[at] == _CLOSING[bracket]:
                return self._close(text, at)
            return self._break(text, at)
        return at

    def _over(self, text: str, at: int) -> int:
        return len(text)

    # The steps between them.

    def _begin_key(self, at: int) -> int:
        if len(self._stack) == 1:
            self._key, self._key_begin = [], self._offset + at
            self._decoder = StringDecoder()
            self._state = ObjectScanner._in_key
        else:
            self._skip_string(ObjectScanner._before_colon)
        return at + 1

    def _took_a_brace(self) -> bool:
        """Whether what was taken for a key is prose from a quote to the object: `{"x, and {"answer": ...`."""
        return len(self._stack) == 1 and not self.found and "".join(self._key).rstrip().endswith("{")

    def _begin_key_again(self, at: int) -> int:
        """The quote that seemed to close a key opens one."""
        blanks = self._offset + at - self._key_end
        self._key, self._key_begin = [" " * blanks], self._key_end - 1
        self._decoder = StringDecoder()
        self._state = ObjectScanner._in_key
        return at

    def _skip_string(self, then: Callable[[ObjectScanner, str, int], int]) -> None:
        self._state, self._then = ObjectScanner._skipped, then

    def _begin(self, kind: Literal["string", "value"]) -> None:
        if self.field is not None:
            self.found = True
            self._tokens.append(Token(kind, self.field))

    def _begin_source(self, at: int) -> None:
        """A value that is no string begins; only that of a field is of interest as a whole."""
        if len(self._stack) == 1 and self.field is not None:
            self._begin("value")
            self._source = at

    def _give(self, text: str) -> None:
        if text:
            self._tokens.append(Token("text", text))

    def _end_source(self, text: str, end: int) -> None:
        if self._source >= 0:
            self._give(text[self._source : end])
            self._source = -1
            self._end_value()

    def _end_value(self) -> None:
        self._tokens.append(Token("end", ""))
        self._state = ObjectScanner._after_value

    def _close(self, text: str, at: int) -> int:
        self._stack.pop()
        if not self._stack:
            self.ended = self.found
            self._state = ObjectScanner._over if self.found else ObjectScanner._seek
            return at + 1
        if len(self._stack) == 1:
            self._end_source(text, at + 1)
        self._state = ObjectScanner._after_value
        return at + 1

    def _break(self, text: str, at: int) -> int:
        self._stack = []
        if not self.found:
            self._state = ObjectScanner._seek
            return at
        self.broken = True
        self._source = -1
        self._tokens.append(Token("broken", ""))
        self._state = ObjectScanner._over
        return len(text)


def _skip_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at
