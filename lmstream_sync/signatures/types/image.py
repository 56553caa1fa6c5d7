"""`Image`: a picture as an input."""

from __future__ import annotations

import io
import os
from typing import Any

import pydantic

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

__all__ = ["Image"]


class Image(Media):
    """A picture, as an input: `lms.Image("https://...")`, `lms.Image.from_path("cat.png")`, `lms.Image(request_bytes)`.

    Args:
        source: a URL (`https:`, `http:`, `gs:`; the provider fetches it, we never do), a data
            URL, bytes, an open binary file, a `pathlib.Path`, a PIL image, another `Image`.

    Attributes:
        url: the URL or data URL.

    Raises:
        SignatureError: it is none of these, or no picture.
    """

    url: str

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        super().__init__(source, **fields)

    def format(self) -> list[dict[str, Any]]:
        """The content part."""
        return [{"type": "image_url", "image_url": {"url": self.url}}]

    @classmethod
    def from_url(cls, url: str) -> Image:
        """A picture that the provider fetches. Nothing is downloaded here, as DSPy's `from_url` would."""
        return cls(url)

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        """A picture in memory; its kind is seen by its first bytes."""
        return cls(data)

    @classmethod
    def from_PIL(cls, image: Any) -> Image:  # DSPy's name
        """A PIL image."""
        return cls(image)

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        return {"url": cls._url_of(source)}

    @pydantic.field_validator("url", mode="before")
    @classmethod
    def _url_of(cls, source: Any) -> str:
        """The URL of any source."""
        if isinstance(source, Image):
            return source.url
        if isinstance(source, str):
            return _checked(source)
        if isinstance(source, dict) and source.keys() == {"url"}:
            return cls._url_of(source["url"])
        if isinstance(source, os.PathLike):
            data, kind = read_file(source)
            return _of_bytes(data, kind, f"the file {os.fspath(source)!r}")
        if hasattr(source, "save") and hasattr(source, "getbbox"):  # what only a PIL image has
            buffer = io.BytesIO()
            source.save(buffer, format=source.format or "PNG")
            return _of_bytes(buffer.getvalue(), f"image/{(source.format or 'PNG').lower()}", "the image")
        data_in_memory = data_of(source)
        if data_in_memory is None:
            raise ValueError(f"give a URL, a data URL, bytes, a path or a PIL image, not a {type(source).__name__}")
        return _of_bytes(data_in_memory, None, "the data")


def _checked(url: str) -> str:
    """A URL or data URL, as it is sent."""
    url = url.strip()
    if url[:5].lower() == "data:":
        kind, data = split_data_url(url)
        return f"data:{_picture(kind, 'the data URL')};base64,{data}"
    if is_web_url(url):
        return url
    raise ValueError(
        f"{shortened(url)} is no http(s) URL and no data URL; a local file is read by lms.Image.from_path(...)"
    )


def _of_bytes(data: bytes, kind: str | None, what: str) -> str:
    """Data as a data URL."""
    if not data:
        raise ValueError(f"{what} is empty")
    return data_url(_picture(kind_of(data) or kind, what), data)


def _picture(kind: str | None, what: str) -> str:
    """The kind, which must be that of a picture."""
    if kind is None or not kind.startswith("image/"):
        raise ValueError(
            f"{what} is {kind or 'of no known kind'}, not a picture" + "; see lms.File" * (kind is not None)
        )
    return kind
