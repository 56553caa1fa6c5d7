"""`File`: a document (PDF, text, a table) as an input, in memory or uploaded before."""

from __future__ import annotations

import os
from typing import Any

import pydantic
from typing_extensions import Self

from lmstream_sync.signatures.types.data_urls import (
    data_of,
    data_url,
    is_web_url,
    kind_of,
    read_file,
    shortened,
    split_data_url,
)
from lmstream_sync.signatures.types.media import Media

__all__ = ["File"]


class File(Media):
    """A file, as an input: `lms.File.from_path("report.pdf")`, `lms.File(upload)`, `lms.File(file_id="file-abc")`.

    Args:
        source: a data URL, bytes, an open binary file, a `pathlib.Path`, another `File`, or a
            web URL, which is passed on as `file_id` to providers that fetch files themselves.
        file_data, file_id, filename: see the attributes.

    Attributes:
        file_data: a data URL, or `None`.
        file_id: the provider's name for a file that was uploaded before, or `None`.
        filename: what the model is told it is called, or `None`.

    Raises:
        SignatureError: it is none of these.
    """

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        super().__init__(source, **fields)

    def format(self) -> list[dict[str, Any]]:
        """The content part."""
        return [{"type": "file", "file": self.model_dump(exclude_none=True)}]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], filename: str | None = None, mime_type: str | None = None) -> Self:
        """Read a local file, now.

        Args:
            path: where it is.
            filename: what the model is told it is called; the path's last part by itself.
            mime_type: what it holds, where neither its data nor its name say so.

        Raises:
            SignatureError: there is no such file.
        """
        made = super().from_path(path)
        if mime_type is not None:
            made = made.model_copy(update={"file_data": data_url(mime_type, read_file(path)[0])})
        return made if filename is None else made.model_copy(update={"filename": filename})

    @classmethod
    def from_bytes(cls, data: bytes, filename: str | None = None, mime_type: str | None = None) -> Self:
        """A file in memory; its MIME type is seen by its first bytes where none is given."""
        return cls(file_data=data if mime_type is None else data_url(mime_type, data), filename=filename)

    @classmethod
    def from_file_id(cls, file_id: str, filename: str | None = None) -> Self:
        """A file that was uploaded to the provider before."""
        return cls(file_id=file_id, filename=filename)

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        if isinstance(source, File):
            return {name: value for name, value in source if value is not None}
        if isinstance(source, dict):
            return source
        if isinstance(source, os.PathLike):
            data, kind = read_file(source)
            name = os.path.basename(os.fspath(source))
            return {"file_data": data_url(kind or _kind(data), data), "filename": name}
        if isinstance(source, str):
            if is_web_url(source):
                return {"file_id": source}
            if source.strip()[:5].lower() != "data:":
                raise ValueError(
                    f"{shortened(source)} is no data URL; a local file is read by lms.File.from_path(...), "
                    f"an uploaded one is named by lms.File(file_id=...)"
                )
            return {"file_data": source}
        given = data_of(source)
        if given is None:
            raise ValueError(f"give a data URL, bytes or a path, not a {type(source).__name__}")
        named = getattr(source, "filename", None) or getattr(source, "name", None)
        name = os.path.basename(named) if isinstance(named, str) else None
        return {"file_data": given, **({"filename": name} if name else {})}

    @pydantic.field_validator("file_data", mode="before")
    @classmethod
    def _as_data_url(cls, given: Any) -> Any:
        """Data as a data URL."""
        if isinstance(given, bytes):
            return data_url(_kind(given), given)
        if not isinstance(given, str):
            return given
        kind, data = split_data_url(given.strip())
        return f"data:{kind};base64,{data}"

    @pydantic.model_validator(mode="after")
    def _something(self) -> Self:
        if self.file_data is None and self.file_id is None:
            raise ValueError("give the file's data or its file_id")
        return self


def _kind(data: bytes) -> str:
    """The MIME type of data that may be text."""
    found = kind_of(data)
    if found is None:
        try:
            data.decode()
        except UnicodeDecodeError:
            return "application/octet-stream"
    return found or "text/plain"
