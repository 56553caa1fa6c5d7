"""The types of fields that the library brings: images, code, reasoning, a conversation's history.

`base` has `Type`, the base of a user's own too; `image`, `audio`, `file` (with what they share
in `media` and `data_urls`) go into prompts as content parts; `citations` has documents and what
is quoted of them; `code`, `reasoning`, `history`, `tool_calls` one each. They are pydantic
models, so this package is imported when the first of them is named.
"""

from __future__ import annotations

from lmstream_sync.signatures.types.audio import Audio
from lmstream_sync.signatures.types.base import Type
from lmstream_sync.signatures.types.citations import Citation, Citations, Document
from lmstream_sync.signatures.types.code import Code
from lmstream_sync.signatures.types.file import File
from lmstream_sync.signatures.types.history import History
from lmstream_sync.signatures.types.image import Image
from lmstream_sync.signatures.types.reasoning import Reasoning
from lmstream_sync.signatures.types.tool_calls import ToolCall, ToolCalls

__all__ = [
    "Audio",
    "Citation",
    "Citations",
    "Code",
    "Document",
    "File",
    "History",
    "Image",
    "Reasoning",
    "ToolCall",
    "ToolCalls",
    "Type",
]
