"""What images, sounds and files have in common: they never change, are no answers, and have a short repr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pydantic
from typing_extensions import Self

from lmstream_sync.signatures.types.data_urls import shortened
from lmstream_sync.signatures.types.sourced import Sourced

__all__ = ["Media"]


class Media(Sourced):
    """Data that goes into a prompt as a content part. Never changes; nothing is ever downloaded.

    A string never names a file: it may come from a form or a model, and what it named would
    be read. `from_path`, or a `pathlib.Path`, reads a file.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    input_only: ClassVar[bool] = True

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        super().__init__(source, **fields)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Self:
        """Read a local file, now.

        Raises:
            SignatureError: there is no such file, or it holds something else.
        """
        return cls(Path(path))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """The same as `from_path`, DSPy's older name for it."""
        return cls.from_path(path)

    def __repr__(self) -> str:
        shown = {name: value for name, value in self if value is not None}
        return f"{type(self).__name__}({', '.join(f'{name}={shortened(str(shown[name]))}' for name in shown)})"

    def __str__(self) -> str:
        return repr(self)
