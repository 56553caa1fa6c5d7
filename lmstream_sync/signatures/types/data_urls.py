"""Bytes, files and data URLs (RFC 2397): what kind of data they hold, and one made of the other."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

__all__ = ["data_of", "data_url", "is_web_url", "kind_of", "read_file", "shortened", "split_data_url"]

#: How data of a kind begins, and the kind; the dots stand for any byte.
_BEGINNINGS = [
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"BM....\0\0\0\0", "image/bmp"),
    (rb"II\*\0|MM\0\*", "image/tiff"),
    (rb"....ftypavi[fs]", "image/avif"),
    (rb"....ftyp(hei[cx]|mif1)", "image/heic"),
    (rb"RIFF....WAVE", "audio/wav"),
    (rb"ID3", "audio/mpeg"),
    (rb"fLaC", "audio/flac"),
    (rb"OggS", "audio/ogg"),
    (rb"....ftypM4[AB]", "audio/mp4"),
    (rb"FORM....AIF[FC]", "audio/aiff"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
    (rb"\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]", "audio/mpeg"),
    (rb"\x1aE\xdf\xa3", "video/webm"),
    (rb"....ftyp", "video/mp4"),
    (rb"%PDF-", "application/pdf"),
    (rb"PK\x03\x04", "application/zip"),
]
_KINDS = [(re.compile(beginning, re.DOTALL), kind) for beginning, kind in _BEGINNINGS]

_SVG = re.compile(rb"<svg[\s>]")

#: How much of the data is looked at.
_LOOKED_AT = 1024


def kind_of(data: bytes) -> str | None:
    """The MIME type of data by how it begins, or `None` where that says nothing."""
    head = bytes(data[:_LOOKED_AT])
    if head.lstrip().startswith(b"<"):
        return "image/svg+xml" if _SVG.search(head) and b"<html" not in head.lower() else None
    return next((kind for beginning, kind in _KINDS if beginning.match(head)), None)


def data_url(kind: str, data: bytes) -> str:
    """Data as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def split_data_url(url: str) -> tuple[str, str]:
    """The MIME type and the base64 text of a data URL.

    Raises:
        ValueError: it is no data URL, names no MIME type, or its data is not what it says.
    """
    head, comma, data = url.partition(",")
    if not head[:5].lower() == "data:" or not comma:
        raise ValueError(f"{shortened(url)} is no data URL; one looks like 'data:image/png;base64,iVBORw0...'")
    kind, *options = head[5:].split(";")
    kind = kind.strip().lower()
    if "/" not in kind:
        raise ValueError(f"the data URL {shortened(url)} does not say what it holds, as 'data:image/png;...' does")
    if "base64" not in (option.strip().lower() for option in options):
        return kind, base64.b64encode(unquote_to_bytes(data)).decode()
    if not data.isascii() or any(space in data for space in " \r\n\t%"):
        data = "".join(unquote_to_bytes(data).decode("latin-1").split())
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the data of {shortened(url)} is no base64: {error}") from None
    return kind, data


def is_web_url(text: str) -> bool:
    """Whether a provider can fetch this itself: `https:`, `http:`, `gs:`."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https", "gs") and bool(parts.netloc)


def read_file(path: str | os.PathLike[str]) -> tuple[bytes, str | None]:
    """A file's data and MIME type: by its data, else by its name, else `None`.

    Raises:
        ValueError: there is no such file, or it cannot be read.
    """
    where = Path(path)
    try:
        data = where.read_bytes()
    except FileNotFoundError:
        problem = f"there is no file {str(where)!r} (looked for in {str(Path.cwd())!r})"
    except OSError as error:
        problem = f"the file {str(where)!r} cannot be read: {error.strerror or error}"
    else:
        return data, kind_of(data) or mimetypes.guess_type(where.name)[0]
    raise ValueError(problem)


def data_of(source: Any) -> bytes | None:
    """The bytes in memory that a source stands for: bytes, or an open file (Flask's upload); else `None`.

    Raises:
        ValueError: an open file that gives text.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    read = getattr(source, "read", None)
    if not callable(read):
        return None
    data = read()
    if isinstance(data, str):
        raise ValueError("the file was opened as text; open it with mode 'rb'")
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError(f"{type(source).__name__}.read() gave a {type(data).__name__}, not bytes")
    return bytes(data)


def shortened(url: str, limit: int = 60) -> str:
    """A URL for a message or a repr: a long one is cut, and its length told."""
    return repr(url) if len(url) <= limit * 2 else f"{url[:limit]!r}... ({len(url):,} characters)"
