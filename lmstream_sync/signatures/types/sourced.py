"""What the library's types share: each is made of one source, and says in one line what is wrong with it."""

from __future__ import annotations

from typing import Any

import pydantic

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.types.base import Type
from lmstream_sync.signatures.validating import in_one_line

__all__ = ["Sourced"]


class Sourced(Type):
    """A type whose values are made of a source (`Image(url)`) or of fields by name (`Image(url=url)`).

    Where a value is validated (an input, a model's reply) the same sources count.
    """

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        complaint = ""
        try:
            if source is not None:
                fields = {**self._fields_of(source), **fields}
            super().__init__(**fields)
        except pydantic.ValidationError as error:
            complaint = in_one_line(error)
        except ValueError as error:
            complaint = str(error)
        if complaint:
            raise SignatureError(f"{type(self).__name__}: {complaint}")

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        """The fields that a source stands for.

        Raises:
            ValueError: it stands for none.
        """
        raise NotImplementedError

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_any_source(cls, given: Any) -> Any:
        return given if isinstance(given, (dict, cls)) else cls._fields_of(given)
