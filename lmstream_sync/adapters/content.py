"""What a message consists of: a text, or content parts where a value is an image, a sound, a file, a document.

    with collecting_parts() as parts:
        text = ...                      # format_value, text_of, jsonable as ever
    message = {"role": "user", "content": parts.split(text)}

The text round a part stays in its place. Content parts have the form of OpenAI's chat
completions, but for documents, whose form is Anthropic's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmstream_sync.signatures.parts import CollectedParts, collecting_parts

__all__ = ["CollectedParts", "collecting_parts", "documents_as_text"]


def documents_as_text(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same messages for a model that knows no documents: each document stands in the text.

    A PDF becomes a file.
    """
    if type(messages) is list:
        for one in messages:
            if type(one) is not dict or type(one.get("content")) is not str:
                break
        else:
            return messages  # what most prompts are
    return [
        {**message, "content": _without_documents(message["content"])}
        if isinstance(message.get("content"), list)
        else dict(message)
        for message in messages
    ]


def _without_documents(content: Sequence[Any]) -> Any:
    """A message's content with documents in another form."""
    if not any(isinstance(part, Mapping) and part.get("type") == "document" for part in content):
        return list(content)
    parts = CollectedParts()
    text = "".join(
        _document_text(part, parts)
        if isinstance(part, Mapping) and part.get("type") == "document"
        else parts.hold([part], "a message")
        for part in content
    )
    return parts.split(text)


def _document_text(part: Mapping[str, Any], parts: CollectedParts) -> str:
    """A document as text."""
    source = part.get("source") or {}
    about = "\n".join(str(part[key]) for key in ("title", "context") if part.get(key))
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
        body = parts.hold([{"type": "file", "file": {"file_data": url, "filename": part.get("title") or "file"}}], "")
    else:
        body = str(source.get("data", ""))
    return "\n".join(one for one in ("<document>", about, body, "</document>") if one)
