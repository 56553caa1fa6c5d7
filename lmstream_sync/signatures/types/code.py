"""`Code` and `Code["python"]`: program text, as an input or an output."""

from __future__ import annotations

import copyreg
import functools
import json
import re
from typing import Any, ClassVar

import pydantic

from lmstream_sync.signatures.types.sourced import Sourced

__all__ = ["Code"]

#: A line of three or more backticks or tildes, with what may follow on it. Not indented: code holds its own.
_FENCE = re.compile(r"^(`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)
_ONE_LINE = re.compile(r"```([^`\n]*)```")


class _CodeMeta(type(pydantic.BaseModel)):  # type: ignore[misc]  # pydantic's metaclass has no public name
    """So that `Code["python"]`, which no module holds, can be pickled (`copyreg`, below)."""


class Code(Sourced, metaclass=_CodeMeta):
    """Program text: `code: lms.Code["python"] = lms.OutputField()`. In a prompt it stands in a fence.

    A reply may give it in a fence, after some prose too, bare, or as `{"code": ...}`.

    Args:
        code: the text, in a fence or not.

    Attributes:
        code: the text without fence.
        language: what `Code[...]` was given; `"python"` where it was given nothing, as in DSPy.

    Raises:
        SignatureError: it is no text.
    """

    reads_text: ClassVar[bool] = True
    language: ClassVar[str] = "python"

    code: str

    def __init__(self, code: Any = None, /, **fields: Any) -> None:
        super().__init__(code, **fields)

    def __class_getitem__(cls, language: Any) -> type[Code]:  # pydantic's is for generics
        if not isinstance(language, str) or not language.strip():
            raise TypeError(f"Code[...] takes the name of a language, such as Code['python'], not {language!r}")
        return _of_language(cls, language)

    def format(self) -> str:
        """The text in a fence that is longer than any in it."""
        longest = max((len(ticks) for ticks in re.findall(r"`{3,}", self.code)), default=2)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{self.language.lower()}\n{self.code}\n{fence}"

    @classmethod
    def description(cls) -> str:
        """What a prompt says of the form."""
        return (
            f"{cls.language} code in a fence, ```{cls.language.lower()} on the line before it and ``` on the line after"
        )

    @pydantic.model_serializer(mode="wrap")
    def serialize_model(self, handler: pydantic.SerializerFunctionWrapHandler) -> Any:
        """The text."""
        return self.code

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        return {"code": source}

    @pydantic.field_validator("code", mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        if isinstance(given, Code):
            return given.code
        if isinstance(given, str):
            return cls._without_fence(given)
        raise ValueError(f"code is a text, not a {type(given).__name__}")

    @classmethod
    def _without_fence(cls, text: str) -> str:
        """The code in a text."""
        if text.lstrip().startswith("{") and cls.language.lower() != "json":
            try:
                made = json.loads(text)
            except (ValueError, RecursionError):
                made = None
            if isinstance(made, dict) and isinstance(made.get("code"), str) and made.keys() <= {"code", "language"}:
                text = made["code"]
        if one_line := _ONE_LINE.fullmatch(text.strip()):
            return one_line[1].strip()
        begin = _FENCE.search(text)
        if begin is None:
            return text
        before = text[: begin.start()]
        if before.strip() and (cls.language.lower() in ("markdown", "md") or _in_comment(before)):
            return text
        return _fenced(text, begin)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": cls.description()}

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Code):
            return self.code == other.code and self.language.lower() == other.language.lower()
        return self.code == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.code)


def _in_comment(before: str) -> bool:
    """Whether a text ends within a docstring or a comment, so that what follows it is code too, and no fence."""
    quoted = before.count('"""') % 2 or before.count("'''") % 2
    return bool(quoted) or before.count("/*") > before.count("*/")


def _fenced(text: str, begin: re.Match[str]) -> str:
    """What stands between a fence and the one that ends it; fences in it may come in pairs."""
    start = min(begin.end() + 1, len(text))
    depth, first = 1, None
    for line in _FENCE.finditer(text, start):
        if line[1][0] != begin[1][0]:
            continue
        if line[2].strip():
            depth += 1
            continue
        if len(line[1]) < len(begin[1]):
            continue
        first = first or line
        depth -= 1
        if not depth or len(line[1]) > len("```") and len(line[1]) == len(begin[1]):
            return _inside(text, start, line.start(), begin)
    return _inside(text, start, first.start(), begin) if first else text[start:]


def _inside(text: str, start: int, end: int, begin: re.Match[str]) -> str:
    inner = text[start:end].removesuffix("\n")
    return inner.removesuffix("\r") if begin[0].endswith("\r") else inner


@functools.lru_cache(maxsize=256)
def _of_language(base: type[Code], language: str) -> type[Code]:
    """The class for a language, one and the same each time."""
    namespace = {"__module__": base.__module__, "language": language, "__annotations__": {"language": "ClassVar[str]"}}
    made: type[Code] = _CodeMeta(f"{base.__name__}[{language!r}]", (base,), {**namespace, "__doc__": base.__doc__})
    return made


def _pickled(cls: Any) -> Any:
    """A class for a language is pickled as `Code[language]`, others by their names."""
    base = cls.__mro__[1]
    if "[" in cls.__name__ and issubclass(base, Code):
        return _of_language, (base, cls.language)
    return cls.__qualname__


copyreg.pickle(_CodeMeta, _pickled)
