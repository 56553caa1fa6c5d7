"""Errors as HTTP answers: which status, and a JSON body that tells no secret.

401  AuthenticationError           the key is wrong, or may not do this (as the provider said)
400  ContextWindowExceededError    the inputs are too long for the model
422  SignatureError                inputs that the program does not take, or lacks; raised once it
                                   runs, it is the program's own error
429  RateLimitError, Busy
502  every other LMError, AdapterParseError   the model's side failed, or its answer cannot be read
504  StreamTimeout
500  all else: the program's own error, or how it was set up

With `Retry-After` wherever the provider said how long to wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lmstream_sync.errors import (
    AdapterParseError,
    AuthenticationError,
    Busy,
    ContextWindowExceededError,
    LMError,
    RateLimitError,
    SignatureError,
    StreamTimeout,
)
from lmstream_sync.streaming.event_json import compact, error_data

__all__ = ["Failure", "RequestError", "failure_of"]

_STATUSES: tuple[tuple[type[BaseException], int], ...] = (
    (AuthenticationError, 401),
    (ContextWindowExceededError, 400),
    (RateLimitError, 429),
    (Busy, 429),
    (LMError, 502),
    (AdapterParseError, 502),
    (StreamTimeout, 504),
)


class RequestError(Exception):
    """A request that no program is called for; its message is meant for who sent it.

    Args:
        status: the HTTP status, 4xx.
        message: what is wrong and what to send instead.
        field: the input at fault, where it is one.
        headers: what the answer needs besides (`Allow`).
    """

    def __init__(
        self, status: int, message: str, *, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.headers = headers or {}


@dataclass(frozen=True)
class Failure:
    """An answer that is an error.

    Attributes:
        status: the HTTP status.
        error: `type`, a stable code; `message`; `field`, where an input is at fault.
        headers: `Retry-After` and the like.
        of_request: whether what was sent is at fault, so that its sender is told all.
    """

    status: int
    error: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    of_request: bool = False

    @property
    def body(self) -> bytes:
        """`{"error": {…}}` as JSON."""
        return compact({"error": self.error}).encode()


def failure_of(error: BaseException, *, expose: bool = False, running: bool = False) -> Failure:
    """What to answer where an error is known before the first byte.

    Args:
        error: what the call, or `Stream.peek`, raised.
        expose: tell its message. That of an error in the request itself is always told.
        running: the program had begun; what is raised from then on is no fault of the request's.
    """
    if isinstance(error, RequestError):
        named = {} if error.field is None else {"field": error.field}
        told = {"type": "RequestError", "message": str(error), **named}
        return Failure(error.status, told, error.headers, of_request=True)
    if isinstance(error, SignatureError):
        return Failure(500 if running else 422, error_data(error, expose or not running)["error"], {}, not running)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    return Failure(status, error_data(error, expose)["error"], _retry_after(error))


def _retry_after(error: BaseException) -> dict[str, str]:
    seconds = getattr(error, "retry_after", None)
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return {}
    return {"Retry-After": str(max(0, math.ceil(seconds)))}
