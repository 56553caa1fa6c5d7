"""Programs as streams: `streamify` and what goes with it, under DSPy's submodule name.

`streamify` plans and opens a call; `running` runs the program; `observer` hears its
predictors and sends what `listener` asked for (`granularity` says what its word means, and
`partial_field` makes items and partial values of a field's text, with `partial_items` and
`partial_value` on top of `partial_json`; they cross as `portion`s); `status` sends messages; `stream` is what
the reader holds, with `accounts` of what it was given and `views` of it as text. For the web,
`encoded` writes a stream's events in a `format`, the library's own being `sse` (`event_json`
says what is in it). `merge` reads several streams as one, `run_many` runs a program
over many inputs. This package knows nothing of web frameworks.
"""

from __future__ import annotations

from lmstream_sync.events import StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.runtime.crossing import syncify
from lmstream_sync.runtime.emitting import aemit, emit
from lmstream_sync.runtime.register import cancel
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.workers import asyncify
from lmstream_sync.streaming.encoded import streaming_response
from lmstream_sync.streaming.iterating import iterate
from lmstream_sync.streaming.listener import StreamListener
from lmstream_sync.streaming.merge import merge
from lmstream_sync.streaming.run_many import run_many
from lmstream_sync.streaming.status import StatusMessageProvider
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.streaming.streamify import stream, streamify
from lmstream_sync.streaming.warming import warm_up

__all__ = [
    "AsyncStream",
    "StatusMessage",
    "StatusMessageProvider",
    "Stream",
    "StreamListener",
    "StreamResponse",
    "StreamRestart",
    "Timeout",
    "aemit",
    "asyncify",
    "cancel",
    "emit",
    "iterate",
    "merge",
    "run_many",
    "stream",
    "streamify",
    "streaming_response",
    "syncify",
    "warm_up",
]
