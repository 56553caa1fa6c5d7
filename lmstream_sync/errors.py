"""The errors a caller can meet, and the one signal that stops a program.

    LMStreamError
    ├── ConfigurationError          no LM, a bad argument to configure/streamify/LM
    ├── SignatureError              a signature or the inputs of a call (also a ValueError)
    ├── ListenerError               a listener that fits no predictor, or several (also a ValueError)
    ├── LMError                     the model's side: status_code, provider, model, retry_after
    │   ├── AuthenticationError     401, 403
    │   ├── BadRequestError         400, 404, 422
    │   │   └── ContextWindowExceededError
    │   ├── RateLimitError          429
    │   ├── ServerError             5xx
    │   ├── LMConnectionError       refused, unreachable, TLS, DNS
    │   ├── LMProtocolError         the reply is not what it says it is
    │   └── LMInterrupted           the reply broke off after it had begun
    ├── AdapterParseError           the reply came, but lacks a field or does not fit its type
    ├── ToolError                   a tool that cannot be called as asked
    └── StreamError                 how a stream is read
        ├── StreamClosed            it was closed before its end
        ├── StreamCancelled         somebody else cancelled the program
        ├── StreamRestarted         text already given became void (`Stream.text`)
        ├── StreamTimeout           a deadline (also a TimeoutError): which
        ├── StreamForked            the stream belongs to the parent process
        ├── LoopDied                the event-loop thread is gone
        └── Busy                    too many calls at once: retry_after

    Stopped (a BaseException)       raised in a program whose reader has gone

This module knows nothing of the rest of the library.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AdapterParseError",
    "AuthenticationError",
    "BadRequestError",
    "Busy",
    "ConfigurationError",
    "ContextWindowExceededError",
    "LMConnectionError",
    "LMError",
    "LMInterrupted",
    "LMProtocolError",
    "LMStreamError",
    "ListenerError",
    "LoopDied",
    "RateLimitError",
    "ServerError",
    "SignatureError",
    "Stopped",
    "StreamCancelled",
    "StreamClosed",
    "StreamError",
    "StreamForked",
    "StreamRestarted",
    "StreamTimeout",
    "ToolError",
]


class LMStreamError(Exception):
    """The root of every error of this library.

    Attributes:
        partial: listened field → the text that had been handed out when a stream
            raised this error; empty outside a stream.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.partial: dict[str, str] = {}


class ConfigurationError(LMStreamError):
    """The library was set up or called in a way that cannot work; the message says what to do."""


class SignatureError(LMStreamError, ValueError):
    """A signature that does not parse, or inputs that do not fit it."""


class ListenerError(LMStreamError, ValueError):
    """A listener's field is in no predictor, or in several and none was named."""


class LMError(LMStreamError):
    """A model call failed.

    Attributes:
        status_code: the HTTP status, where there was one.
        provider: the provider's name as the engine knows it (`"openai"`).
        model: the model's name as the LM was given it.
        retry_after: seconds that the provider asks to wait, where it said so.
    """

    # Whether the same request would fail in the same way: then it is not sent again.
    _lasting = False

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        provider: str | None = None,
        model: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.provider = provider
        self.model = model
        self.retry_after = retry_after


class AuthenticationError(LMError):
    """The provider does not accept the key (401) or the key may not do this (403)."""


class BadRequestError(LMError):
    """The provider refuses the request: an unknown model, a bad parameter (400, 404, 422)."""


class ContextWindowExceededError(BadRequestError):
    """The prompt does not fit the model's context window."""


class RateLimitError(LMError):
    """Too many requests, or no quota left (429)."""


class ServerError(LMError):
    """The provider failed (5xx)."""


class LMConnectionError(LMError):
    """The provider could not be reached: refused, no such host, TLS, connect time-out, a proxy (407)."""


class LMProtocolError(LMError):
    """The provider's reply is not what it says it is: broken JSON, no choices, another content."""


class LMInterrupted(LMError):
    """The reply broke off: the connection failed, or neither a finish reason nor `[DONE]` came."""


class AdapterParseError(LMStreamError):
    """The model's reply lacks an output field, or a field's text does not fit its type.

    Attributes:
        adapter_name: the adapter that read the reply.
        lm_response: the whole reply, as it came.
        parsed_result: field → what could be read of it.
        field: the field at fault, where it is one.
        refusal: what the model said where it refused to answer, else `None`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        adapter_name: str = "",
        lm_response: str = "",
        parsed_result: dict[str, Any] | None = None,
        field: str | None = None,
        refusal: str | None = None,
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.adapter_name = adapter_name
        self.lm_response = lm_response
        self.parsed_result = parsed_result or {}
        self.field = field


class ToolError(LMStreamError):
    """A tool cannot be called as asked: unknown arguments, missing ones, wrong types."""


class StreamError(LMStreamError):
    """A stream was used in a way that cannot work, or ended in a way that is no answer."""


class StreamClosed(StreamError):
    """The stream was closed before its end; open a new one."""


class StreamCancelled(StreamError):
    """The program was cancelled by somebody other than the reader (`lms.cancel(stream.id)`)."""


class StreamRestarted(StreamError):
    """Text that `Stream.text()` had already given became void: the model began again."""


class StreamTimeout(StreamError, TimeoutError):
    """A deadline passed.

    Attributes:
        which: `"first"`, `"idle"`, `"total"` or `"reader"` (see `Timeout`), `"peek"` or
            `"result"` (the argument of that method; the stream goes on), `"exit"` (the
            main thread has ended and nothing came).
    """

    def __init__(self, message: str = "", *, which: str = "total") -> None:
        super().__init__(message)
        self.which = which


class StreamForked(StreamError):
    """The stream was opened before a `fork()` and belongs to the parent process."""


class LoopDied(StreamError):
    """The event-loop thread that ran the program is gone; the next call starts another."""


class Busy(StreamError):
    """Too many calls run at once.

    Attributes:
        retry_after: seconds after which trying again makes sense, where that is known.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Stopped(BaseException):
    """Raised inside a program whose reader has gone, at its next model or tool call,
    `emit` or read of another stream.

    Derived from `BaseException`, as `asyncio.CancelledError` is, so that a program's
    `except Exception` does not swallow it. It never reaches a reader.
    """
