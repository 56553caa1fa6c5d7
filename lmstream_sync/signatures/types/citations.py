"""`Citations`, `Citation` and `Document`: sources given to a model, and what of them it quotes.

The shapes are those of Anthropic's citations, as litellm passes them on.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import pydantic

from lmstream_sync.signatures.types.base import Type
from lmstream_sync.signatures.types.data_urls import data_of, kind_of, read_file
from lmstream_sync.signatures.types.sourced import Sourced

__all__ = ["Citation", "Citations", "Document"]

_NOTHING = frozenset({"", "none", "null", "n/a", "[]"})


class Citation(Type):
    """One quotation. Positions count from 0 and their ends are exclusive; which there are depends on `type`.

    Attributes:
        type: `"char_location"` (a text), `"page_location"` (a PDF) or `"content_block_location"`.
        cited_text: the quotation.
        document_index: which of the documents.
        document_title: its title.
        start_char_index, end_char_index: characters.
        start_page_number, end_page_number: pages, from 1.
        start_block_index, end_block_index: blocks.
        supported_text: what of the answer rests on it, where that is told.

    Whatever else the provider tells (`file_id`, `url`) is an attribute too.
    """

    model_config = pydantic.ConfigDict(extra="allow")

    type: str = "char_location"
    cited_text: str
    document_index: int | None = None
    document_title: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None
    supported_text: str | None = None

    @classmethod
    def description(cls) -> str:
        """What a JSON schema says of it."""
        return "one quotation"

    @pydantic.model_serializer(mode="wrap")
    def serialize_model(self, handler: pydantic.SerializerFunctionWrapHandler) -> Any:
        """What is known of it."""
        return {name: value for name, value in handler(self).items() if value is not None}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, value) for name, value in super().__repr_args__() if value is not None)


#: The name is taken within the next class.
_One: TypeAlias = Citation


class Citations(Sourced):
    """The quotations of an answer, a sequence of `Citation`.

    Where the provider gives them beside the answer they come from there, each when it comes;
    elsewhere the model is asked for them as JSON.

    Args:
        citations: `Citation` objects or dicts.

    Attributes:
        citations: the list.
    """

    native_feature: ClassVar[str | None] = "citations"

    #: As in DSPy: `Citations.Citation(cited_text=...)`.
    Citation: ClassVar[type[Citation]] = Citation

    citations: list[_One] = pydantic.Field(default_factory=list)

    def __init__(self, citations: Any = None, /, **fields: Any) -> None:
        super().__init__(citations, **fields)

    @classmethod
    def from_dict_list(cls, dicts: Iterable[Mapping[str, Any]]) -> Citations:
        """The citations of dicts in the provider's form."""
        return cls(list(dicts))

    @classmethod
    def description(cls) -> str:
        """What a prompt says of the form."""
        return (
            "a JSON list of citations, each an object with the exact cited_text, the document_index (the first is 0) "
            "and, where known, document_title and supported_text; an empty list for none"
        )

    @classmethod
    def is_streamable(cls) -> bool:
        """Yes: each citation comes by itself."""
        return True

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> Citations | None:
        """The citation that a piece of the stream has, or `None`."""
        choices = getattr(chunk, "choices", None)
        fields = getattr(getattr(choices[0], "delta", None), "provider_specific_fields", None) if choices else None
        citation = fields.get("citation") if isinstance(fields, Mapping) else None
        return cls([citation]) if isinstance(citation, Mapping) and "cited_text" in citation else None

    @classmethod
    def parse_lm_response(cls, response: str | dict[str, Any]) -> Citations | None:
        """The citations of a whole reply, where it has some: a list, or a list of lists, one for each block."""
        given = response.get("citations") if isinstance(response, dict) else None
        return cls(given) if isinstance(given, (list, tuple)) else None

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        return {"citations": source}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_one(cls, given: Any) -> Any:
        return {"citations": [given]} if isinstance(given, dict) and "cited_text" in given else given

    @pydantic.field_validator("citations", mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        """One list of what the provider gives block by block; blocks without citations are `None`."""
        if given is None or (isinstance(given, str) and given.strip().lower() in _NOTHING):
            return []
        if isinstance(given, Citations):
            return given.citations
        if not isinstance(given, (list, tuple)):
            return given
        made: list[Any] = []
        for one in given:
            made.extend(one if isinstance(one, (list, tuple)) else [] if one is None else [one])
        return made

    def __len__(self) -> int:
        return len(self.citations)

    def __iter__(self) -> Iterator[_One]:  # type: ignore[override]  # pydantic's gives the model's fields
        return iter(self.citations)

    def __getitem__(self, at: int) -> _One:
        return self.citations[at]

    def __add__(self, other: Citations) -> Citations:
        return Citations([*self.citations, *other.citations]) if isinstance(other, Citations) else NotImplemented


class Document(Sourced):
    """A source that a model may quote, as an input: `lms.Document(data="Water boils at 100 °C.", title="Facts")`.

    It goes to the model as a content part with citations switched on, as Anthropic has it.

    Args:
        source: the text; or bytes or a `pathlib.Path` of a PDF or text file.
        data: the text, or base64 where `media_type` is PDF.
        title: what it is called in citations.
        media_type: `"text/plain"` or `"application/pdf"`.
        context: what the model is told about it and does not quote.

    Raises:
        SignatureError: it is neither text nor PDF.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    input_only: ClassVar[bool] = True

    data: str
    title: str | None = None
    media_type: Literal["text/plain", "application/pdf"] = "text/plain"
    context: str | None = None

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        super().__init__(source, **fields)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], title: str | None = None, context: str | None = None) -> Document:
        """Read a text or PDF file, now; it is called after the file where no title is given.

        Raises:
            SignatureError: there is no such file, or it is neither.
        """
        return cls(Path(path), **({"title": title} if title else {}), context=context)

    def format(self) -> list[dict[str, Any]]:
        """The content part."""
        source = {
            "type": "text" if self.media_type == "text/plain" else "base64",
            "media_type": self.media_type,
            "data": self.data,
        }
        named = {"title": self.title, "context": self.context}
        about = {name: value for name, value in named.items() if value}
        return [{"type": "document", "source": source, "citations": {"enabled": True}, **about}]

    @classmethod
    def description(cls) -> str:
        """What a prompt says of the type."""
        return "a document that can be quoted"

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        return _read(source)

    def __repr__(self) -> str:
        title = f"{self.title!r}, " if self.title else ""
        return f"Document({title}{self.media_type}, {len(self.data):,} characters)"

    def __str__(self) -> str:
        return repr(self)


def _read(source: Any) -> dict[str, Any]:
    """The fields that a source stands for."""
    if isinstance(source, Document):
        return {name: value for name, value in source if value is not None}
    if isinstance(source, str):
        return {"data": source}
    name: dict[str, Any] = {}
    if isinstance(source, os.PathLike):
        data: bytes | None = read_file(source)[0]
        name = {"title": Path(source).name}
    else:
        data = data_of(source)
    if data is None:
        raise ValueError(f"give the text, or bytes or a path of a text or PDF file, not a {type(source).__name__}")
    if kind_of(data) == "application/pdf":
        return {"data": base64.b64encode(data).decode(), "media_type": "application/pdf", **name}
    try:
        return {"data": data.decode(), **name}
    except UnicodeDecodeError:
        problem = kind_of(data) or "no text in UTF-8"
    raise ValueError(f"a document is a text or a PDF, and this is {problem}")
