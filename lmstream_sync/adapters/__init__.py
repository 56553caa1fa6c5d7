"""How prompts are written and replies are read.

`base` has what every adapter does, `prompts` what those do that ask by text (with images and
the like by `content`), `fallback` what Chat and XML share; `chat` is the adapter with
`[[ ## field ## ]]` markers, `xml_adapter` the one with `<field>` elements, `json_adapter` the
one with a JSON object, whose schema `json_schema` makes. `reader` is the seam to whoever feeds
a reply piece by piece, `absent` knows what a reply may lack; `markers`, `xml_tags`,
`xml_field`, `field_text`, `json_scanner`, `json_strings` and `json_source` are what the readers
are made of. This package knows neither models nor programs.
"""

from __future__ import annotations

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.chat import ChatAdapter, ChatReader
from lmstream_sync.adapters.json_adapter import JSONAdapter
from lmstream_sync.adapters.json_reader import JSONReader
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldObject, FieldRestart, Finished, Reader
from lmstream_sync.adapters.xml_adapter import XMLAdapter
from lmstream_sync.adapters.xml_reader import XMLReader

__all__ = [
    "Adapter",
    "ChatAdapter",
    "ChatReader",
    "FieldDelta",
    "FieldEvent",
    "FieldObject",
    "FieldRestart",
    "Finished",
    "JSONAdapter",
    "JSONReader",
    "Reader",
    "XMLAdapter",
    "XMLReader",
]
