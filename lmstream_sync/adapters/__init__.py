"""How prompts are written and replies are read.

`base` has what every adapter does, `chat` the adapter with `[[ ## field ## ]]` markers,
`reader` the seam to whoever feeds a reply piece by piece; `markers` and `field_text` are the
parts that the chat reader is made of. This package knows neither models nor programs.
"""

from __future__ import annotations

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.chat import ChatAdapter, ChatReader
from lmstream_sync.adapters.reader import FieldDelta, Finished, Reader

__all__ = ["Adapter", "ChatAdapter", "ChatReader", "FieldDelta", "Finished", "Reader"]
