"""`Audio`: sound as an input."""

from __future__ import annotations

import base64
import os
from typing import Any

import pydantic

from lmstream_sync.signatures.types.data_urls import data_of, is_web_url, kind_of, read_file, shortened, split_data_url
from lmstream_sync.signatures.types.media import Media

__all__ = ["Audio"]

#: MIME subtype → the format's name in the wire format, where they differ.
_FORMATS = {
    "mpeg": "mp3",
    "mpeg3": "mp3",
    "wave": "wav",
    "vnd.wave": "wav",
    "mp4": "m4a",
    "mp4a-latm": "m4a",
}


class Audio(Media):
    """Sound, as an input: `lms.Audio.from_path("call.mp3")`, `lms.Audio(uploaded_bytes)`.

    Args:
        source: a data URL, bytes, an open binary file, a `pathlib.Path`, another `Audio`. Sound
            goes in the request itself, so a web URL is none: fetch it, and give the bytes.
        audio_format: the format of bytes that do not show it (raw samples: `"pcm16"`).

    Attributes:
        data: base64.
        audio_format: `"wav"`, `"mp3"`, ...

    Raises:
        SignatureError: it is none of these, or no sound.
    """

    data: str = pydantic.Field(repr=False)
    audio_format: str

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        made = data_of(source) if source is not None and "audio_format" in fields else None
        if made is not None:  # the caller knows what it is
            source, fields = None, {"data": base64.b64encode(made).decode(), **fields}
        super().__init__(source, **fields)

    def format(self) -> list[dict[str, Any]]:
        """The content part."""
        return [{"type": "input_audio", "input_audio": {"data": self.data, "format": self.audio_format}}]

    @classmethod
    def from_bytes(cls, data: bytes, audio_format: str | None = None) -> Audio:
        """Sound in memory; its format is seen by its first bytes where none is given."""
        return cls(data) if audio_format is None else cls(data, audio_format=audio_format)

    @pydantic.field_validator("data")
    @classmethod
    def _base64(cls, data: str) -> str:
        return split_data_url(f"data:audio/any;base64,{data}")[1]

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        if isinstance(source, Audio):
            return {"data": source.data, "audio_format": source.audio_format}
        if isinstance(source, dict):
            return source
        if isinstance(source, str):
            if is_web_url(source):
                raise ValueError("sound goes in the request itself, so a URL is none; fetch it and give the bytes")
            if source.strip()[:5].lower() != "data:":
                raise ValueError(
                    f"{shortened(source)} is no data URL; a local file is read by lms.Audio.from_path(...), "
                    f"base64 is given as lms.Audio(data=..., audio_format='wav')"
                )
            kind, text = split_data_url(source.strip())
            return {"data": text, "audio_format": _format(kind, "the data URL")}
        if isinstance(source, os.PathLike):
            data, found = read_file(source)
            what = f"the file {os.fspath(source)!r}"
        else:
            in_memory = data_of(source)
            if in_memory is None:
                raise ValueError(f"give a data URL, bytes or a path, not a {type(source).__name__}")
            data, found, what = in_memory, kind_of(in_memory), "the data"
        if not data:
            raise ValueError(f"{what} is empty")
        return {"data": base64.b64encode(data).decode(), "audio_format": _format(found, what)}


def _format(kind: str | None, what: str) -> str:
    """The wire format's name for a kind of sound."""
    main, _, sub = (kind or "").partition("/")
    if main != "audio" and kind not in ("video/webm", "video/mp4", "application/ogg"):
        raise ValueError(
            f"{what} is {kind or 'of no known kind'}, not sound; audio_format= names the format of raw data"
        )
    sub = sub.removeprefix("x-")
    return _FORMATS.get(sub, sub)
