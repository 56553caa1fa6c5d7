"""`Reasoning`: how a model came to its answer; its own reasoning where it has that, else an ordinary field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pydantic

from lmstream_sync.signatures.types.sourced import Sourced

__all__ = ["Reasoning"]


class Reasoning(Sourced):
    """How a model came to its answer. It behaves like its text: `==`, `len`, `in`, `+`, the methods of `str`.

    Where a function insists on a `str` (`json.dumps`, `str.join`), give `str(reasoning)`.

    Args:
        content: the text.

    Attributes:
        content: the same.
    """

    model_config = pydantic.ConfigDict(frozen=True)
    reads_text: ClassVar[bool] = True
    native_feature: ClassVar[str | None] = "reasoning"

    content: str = ""

    def __init__(self, content: Any = None, /, **fields: Any) -> None:
        super().__init__(content, **fields)

    def format(self) -> str:
        """The text."""
        return self.content

    @classmethod
    def is_streamable(cls) -> bool:
        """Yes: the model's reasoning comes piece by piece."""
        return True

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> str | None:
        """The piece's `reasoning_content`, as it is; `None` where it has none."""
        choices = getattr(chunk, "choices", None)
        text = getattr(getattr(choices[0], "delta", None), "reasoning_content", None) if choices else None
        return text if isinstance(text, str) and text else None

    @classmethod
    def parse_lm_response(cls, response: str | dict[str, Any]) -> Reasoning | None:
        """The `reasoning_content` of a whole reply, where it has one."""
        text = response.get("reasoning_content") if isinstance(response, dict) else None
        return cls(text) if isinstance(text, str) else None

    @pydantic.model_serializer(mode="wrap")
    def serialize_model(self, handler: pydantic.SerializerFunctionWrapHandler) -> Any:
        """The text."""
        return self.content

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        if isinstance(source, (str, Reasoning)):
            return {"content": str(source)}
        raise ValueError(f"reasoning is a text, not a {type(source).__name__}")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string"}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(str, name):
            return getattr(self.content, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self) -> str:
        return self.content

    def __repr__(self) -> str:
        return repr(self.content)

    def __format__(self, spec: str) -> str:
        return format(self.content, spec)

    def __eq__(self, other: object) -> bool:
        return self.content == str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.content)

    def __lt__(self, other: str | Reasoning) -> bool:
        return self.content < str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __le__(self, other: str | Reasoning) -> bool:
        return self.content <= str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __gt__(self, other: str | Reasoning) -> bool:
        return self.content > str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __ge__(self, other: str | Reasoning) -> bool:
        return self.content >= str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __len__(self) -> int:
        return len(self.content)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # pydantic's gives the model's fields
        return iter(self.content)

    def __getitem__(self, at: int | slice) -> str:
        return self.content[at]

    def __contains__(self, part: object) -> bool:
        return str(part) in self.content if isinstance(part, (str, Reasoning)) else False

    def __add__(self, other: str | Reasoning) -> str:
        return self.content + str(other) if isinstance(other, (str, Reasoning)) else NotImplemented

    def __radd__(self, other: str) -> str:
        return other + self.content if isinstance(other, str) else NotImplemented
