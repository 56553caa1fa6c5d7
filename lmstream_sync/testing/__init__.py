"""A scripted model for tests: real HTTP on loopback, no key, no network.

`server` serves `replies` in the wire format of `wire`; `plugin` is the pytest fixture
`scripted_lm`; `sse` reads what a view sent; `streams` makes a stream of given events.
"""

from __future__ import annotations

from lmstream_sync.testing.replies import Reply
from lmstream_sync.testing.server import Recorded, ScriptedServer
from lmstream_sync.testing.sse import read_sse
from lmstream_sync.testing.streams import stream_of

__all__ = ["Recorded", "Reply", "ScriptedServer", "read_sse", "stream_of"]
