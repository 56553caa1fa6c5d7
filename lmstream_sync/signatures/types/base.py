"""`Type`: the base of values that say themselves how a prompt shows them and how a reply gives them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pydantic

from lmstream_sync.signatures.parts import parts_being_collected
from lmstream_sync.signatures.plain import formatted, jsonable

__all__ = ["Type"]


class Type(pydantic.BaseModel):
    """The base of the library's types, and of a user's own for fields of signatures. The interface is DSPy's.

        class Photo(lms.Type):
            path: str

            def format(self):
                return [{"type": "image_url", "image_url": {"url": my_bucket(self.path)}}]

    A subclass is a pydantic model and defines what it needs of the methods below. In a reply
    its values are JSON of its fields, or whatever its validators take.
    """

    #: An output field of this type takes its text as it is, without a look for JSON in it.
    reads_text: ClassVar[bool] = False
    #: No model answers with it: as the type of an output field it is an error.
    input_only: ClassVar[bool] = False
    #: The feature of models that takes or gives its values beside the text: "history", "reasoning", "citations".
    native_feature: ClassVar[str | None] = None

    def format(self) -> str | list[dict[str, Any]]:
        """How a prompt shows the value: a text, or content parts (dicts with a `type`). Here: JSON of its fields."""
        return json.dumps(jsonable(self.model_dump()), ensure_ascii=False)

    @classmethod
    def description(cls) -> str:
        """What a prompt and the JSON schema say of the type; empty for its docstring."""
        return ""

    @classmethod
    def is_streamable(cls) -> bool:
        """Whether an output field of this type streams in pieces made by `parse_stream_chunk`."""
        return False

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> Any:
        """What a piece of the stream has of the value: an instance (or a `str`), or `None` for nothing.

        Args:
            chunk: a `litellm.ModelResponseStream`.
        """
        return None

    @classmethod
    def parse_lm_response(cls, response: str | dict[str, Any]) -> Any:
        """The value that a whole reply has, or `None`.

        Args:
            response: its text, or a dict with `text` and what the provider gave beside it
                (`reasoning_content`, `citations`).
        """
        return None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(schema)
        if told := cls.description():  # a docstring is for the program's author
            handler.resolve_ref_schema(made)["description"] = told
        return made

    @pydantic.model_serializer(mode="wrap")
    def serialize_model(self, handler: pydantic.SerializerFunctionWrapHandler) -> Any:
        """The fields; while a prompt is being written, what `format` gives, within other models too."""
        shown = formatted(self) if parts_being_collected() is not None else None
        return handler(self) if shown is None else shown
