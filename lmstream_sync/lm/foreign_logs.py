"""Keeps secrets out of what other libraries log of our requests.

At DEBUG litellm and the openai package log headers that a caller gave, and replies in which
a provider echoes a key. Only records of our own requests are touched, by the context they
are made in; loggers, levels and handlers stay as the user set them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from lmstream_sync.callbacks import put_back
from lmstream_sync.lm.secrets import known_secrets, scrub

__all__ = ["scrubbed_logs"]

# A filter on a logger sees its own records only, not those of the loggers below it.
_LOGGERS = (
    "LiteLLM",
    "openai._base_client",
    "openai._response",
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
)

_options: ContextVar[Mapping[str, Any] | None] = ContextVar("lmstream_sync_log_options", default=None)


class _Scrub(logging.Filter):
    """Takes the secrets of the request in whose context it runs out of a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        options = _options.get()
        if options is not None:
            known = known_secrets(options)
            with contextlib.suppress(Exception):  # a record that does not format is its handler's affair
                said = record.getMessage()
                shown = scrub(said, known)
                if shown != said:
                    record.msg, record.args = shown, None
            if record.exc_info:
                record.exc_text = scrub(_formatter.formatException(record.exc_info), known)
                record.exc_info = None  # its frames hold headers
        return True


_formatter = logging.Formatter()
_scrub = _Scrub()


@contextlib.contextmanager
def scrubbed_logs(options: Mapping[str, Any]) -> Iterator[None]:
    """In this context what other libraries log has stars in the place of the secrets in these options."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_scrub)  # once: a filter is not added twice
    token = _options.set(options)
    try:
        yield
    finally:
        put_back(_options, token)
