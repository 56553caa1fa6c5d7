"""`warm_up`: what the first call would wait for, done ahead."""

from __future__ import annotations

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm import LM
from lmstream_sync.runtime.crossing import run
from lmstream_sync.settings import settings

__all__ = ["warm_up"]


def warm_up(lm: LM | None = None) -> None:
    """Start the event-loop thread, import what the first model request needs, and connect.

    The imports run in a worker thread, once a process, however many threads call this or
    make a first request at the same time. Call it where a server starts its worker (after
    the fork, not before).

    Args:
        lm: the model to get ready for; `settings.lm` when left out. A connection to its
            endpoint is opened and kept, by the litellm engine only where litellm goes through
            the openai package; that no connection can be had is no error here. Without any
            model only what the direct engine imports is imported.

    Raises:
        ConfigurationError: `lm` is no LM.
        StreamError: on the event-loop thread.
    """
    ready_for = lm if lm is not None else settings.lm
    if ready_for is None:
        ready = LM("openai/any").prepare
    elif isinstance(ready_for, LM):
        ready = ready_for.connect
    else:
        raise ConfigurationError(f'warm_up({lm!r}): give lms.LM("openai/gpt-4o-mini"), or nothing')
    run(ready, instead="await lm.connect()", name="warm_up")
