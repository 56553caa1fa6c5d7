"""`warm_up`: what the first call would wait for, done ahead."""

from __future__ import annotations

from functools import partial

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm import LM
from lmstream_sync.runtime.crossing import run
from lmstream_sync.settings import settings

__all__ = ["warm_up"]


def warm_up(lm: LM | None = None) -> None:
    """Start the event-loop thread and import what the first model request needs.

    The imports run in a worker thread, once a process, however many threads call this or
    make a first request at the same time. Call it where a server starts its worker (after
    the fork, not before).

    Args:
        lm: the model to get ready for; `settings.lm`, or any, when left out.

    Raises:
        ConfigurationError: `lm` is no LM.
        StreamError: on the event-loop thread.
    """
    ready_for = lm if lm is not None else settings.lm
    if ready_for is not None and not isinstance(ready_for, LM):
        raise ConfigurationError(f'warm_up({lm!r}): give lms.LM("openai/gpt-4o-mini"), or nothing')
    ready_for = ready_for or LM("openai/any")
    run(partial(ready_for.prepare), instead="await lm.prepare()", name="warm_up")
