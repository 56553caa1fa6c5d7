"""For tests of programs that stream: a model that says what you tell it to, over real HTTP.

`server.py` runs a scripted model in a thread, `process.py` in a process of its own;
`reply.py` says what it may answer and how it may misbehave; `script.py` which answer
comes when; `steps.py` turns one into what goes over the wire, written in `wire.py`;
`serving.py` sends it; `counts.py` keeps the tally. `sse.py` reads server-sent events,
`streams.py` makes a stream without any model, `scripted_lm.py` and `plugin.py` are the
pytest fixture `scripted_lm`.

The names load when they are first asked for: pytest imports this package in every run,
also in those that use nothing of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmstream_sync.testing.counts import Counts as Counts
    from lmstream_sync.testing.gate import Gate as Gate
    from lmstream_sync.testing.process import ServerProcess as ServerProcess
    from lmstream_sync.testing.reply import Reply as Reply, Request as Request
    from lmstream_sync.testing.scripted_lm import ScriptedLM as ScriptedLM
    from lmstream_sync.testing.server import ScriptedServer as ScriptedServer
    from lmstream_sync.testing.sse import read_sse as read_sse
    from lmstream_sync.testing.streams import stream_of as stream_of

_HOME_OF = {
    "Counts": "counts",
    "Gate": "gate",
    "Reply": "reply",
    "Request": "reply",
    "ScriptedLM": "scripted_lm",
    "ScriptedServer": "server",
    "ServerProcess": "process",
    "read_sse": "sse",
    "stream_of": "streams",
}

__all__ = [
    "Counts",
    "Gate",
    "Reply",
    "Request",
    "ScriptedLM",
    "ScriptedServer",
    "ServerProcess",
    "read_sse",
    "stream_of",
]

if not TYPE_CHECKING:  # type checkers must see the names above and no others

    def __getattr__(name: str) -> Any:
        """Load a public name when it is first asked for."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
