"""What the XML reader must do, said a second time and as plainly as can be.

Reads the whole text anew each time, character by character, and shares nothing with the
reader. Slow on purpose.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos|#[0-9]{1,8}|#x[0-9a-fA-F]{1,8});")
_BEGUN = re.compile(r"&(#[0-9]{0,8}|#x[0-9a-fA-F]{0,8}|[a-z]*)?")
_CODES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_TAG = r"""<({names})(?:[ \t\r\n](?:[^<>"']|"[^"<]*"|'[^'<]*')*|/)?>"""


class Span(NamedTuple):
    """A field: the characters of its text, each with where its source ends.

    In an open one `doubt` is where that begins which may yet become something else than text.
    """

    name: str
    begin: int
    characters: list[tuple[str, int]]
    closed: bool
    doubt: int


def spans(text: str, names: Sequence[str]) -> list[Span]:
    """The fields that begin in a text."""
    unseen = list(names)
    found: list[Span] = []
    at = 0
    while unseen:
        tag = _tag(tuple(unseen)).search(text, at)
        if tag is None:
            break
        unseen.remove(tag[1])
        inner = tag[0][len(tag[1]) + 1 : -1]
        if inner.endswith("/"):
            found.append(Span(tag[1], tag.end(), [], True, tag.end()))
            at = tag.end()
            continue
        span, at = _inside(text, tag[1], tag.end())
        found.append(span)
    return found


def _inside(text: str, name: str, begin: int) -> tuple[Span, int]:
    closing, begun_closing = _closing(name)
    characters: list[tuple[str, int]] = []
    at, section, fresh = begin, False, True
    while at < len(text):
        if not fresh and text[at] not in "<&]":
            characters.append((text[at], at + 1))
            at += 1
            continue
        rest = text[at:]
        if section:
            if rest.startswith("]]>"):
                section, at = False, at + 3
            elif "]]>".startswith(rest):
                return Span(name, begin, characters, False, at), len(text)
            else:
                characters.append((text[at], at + 1))
                at += 1
            continue
        if fresh and rest.startswith("<![CDATA["):
            section, at = True, at + 9
            continue
        if text[at] == "<":
            if ended := closing.match(text, at):
                return Span(name, begin, characters, True, at), ended.end()
            opening = fresh and "<![CDATA[".startswith(rest)
            if opening or f"</{name}".startswith(rest) or begun_closing.fullmatch(text, at):
                return Span(name, begin, characters, False, at), len(text)
        if text[at] == "&":
            entity = _ENTITY.match(text, at)
            if entity and (char := _character(entity[1])):
                characters.append((char, entity.end()))
                at, fresh = entity.end(), False
                continue
            if _BEGUN.fullmatch(rest) and (rest[1:2] in ("", "#") or any(code.startswith(rest[1:]) for code in _CODES)):
                return Span(name, begin, characters, False, at), len(text)
        fresh = fresh and text[at] in " \t\r\n"
        characters.append((text[at], at + 1))
        at += 1
    return Span(name, begin, characters, False, at), at


@functools.cache
def _tag(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_TAG.format(names="|".join(map(re.escape, names))))


@functools.cache
def _closing(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(f"</{re.escape(name)}[ \t\r\n]*>"), re.compile(f"</{re.escape(name)}[ \t\r\n]*")


def _character(code: str) -> str:
    if code[0] != "#":
        return _CODES[code]
    number = int(code[2:], 16) if code[1] == "x" else int(code[1:])
    return chr(number) if number < 0xD800 or 0xDFFF < number < 0x110000 else ""


def fields(text: str, names: Sequence[str]) -> dict[str, str]:
    """The fields of a whole reply; what is not complete at its end is text."""
    result = {}
    for span in spans(text, names):
        left = "" if span.closed else text[span.doubt :]
        result[span.name] = ("".join(char for char, _ in span.characters) + left).strip()
    return result


def given(pieces: Sequence[str], names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Each field's text that must have been handed out when these pieces are in, and whether it is closed.

    Of an open field: all pieces before the one in which that begins which may yet be dropped or changed.
    """
    text = "".join(pieces)
    result: dict[str, tuple[str, bool]] = {}
    for span in spans(text, names):
        content = "".join(char for char, _ in span.characters)
        if span.closed:
            result[span.name] = (content.strip(), True)
            continue
        solid = len(content.rstrip())
        # An entity belongs to the piece that completes it.
        sure = span.characters[solid][1] - 1 if solid < len(content) else span.doubt
        if sure == len(text):
            reach = sure
        else:
            reach = max((place for place in accumulate(map(len, pieces), initial=0) if place <= sure), default=0)
        result[span.name] = ("".join(char for char, end in span.characters if end <= reach).lstrip(), False)
    return result


def escaped(text: str) -> str:
    """A text with everything escaped, as libraries do it."""
    return html.escape(text, quote=True).replace("&#x27;", "&apos;")
