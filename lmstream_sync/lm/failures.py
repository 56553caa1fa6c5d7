"""A foreign exception becomes one of ours, and nothing of the foreign one comes along.

Debug pages print the locals of every frame in a chain of exceptions, and those of an HTTP
library hold headers with keys. So the cause that we chain is a copy: the type's name, the
cleaned message and the status, without traceback, request or response.

Exceptions are told apart by their names and attributes, so that this module needs none of
the libraries that raise them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmstream_sync.errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    LMConnectionError,
    LMError,
    LMInterrupted,
    LMProtocolError,
    LMStreamError,
    RateLimitError,
    ServerError,
)
from lmstream_sync.lm.failure_words import is_error_object, own_words, words_of
from lmstream_sync.lm.retry_after import retry_after_of
from lmstream_sync.lm.secrets import scrub

__all__ = ["CleanedError", "cleaned", "provider_of", "translated", "without_context"]

_DEEPEST_CHAIN = 2

_NOT_REACHED = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "ConnectionTimeoutError",
        "ClientConnectorError",
        "ClientProxyConnectionError",
        "ClientSSLError",
        "ConnectionRefusedError",
        "ProxyError",
        "UnsupportedProtocol",
        "InvalidURL",
        "SSLError",
        "gaierror",
        "EndpointConnectionError",
    }
)
_BROKE_OFF = frozenset(
    {
        "ReadError",
        "WriteError",
        "RemoteProtocolError",
        "NetworkError",
        "ReadTimeout",
        "ServerDisconnectedError",
        "ClientOSError",
        "ConnectionResetError",
        "BrokenPipeError",
        "ConnectionClosedError",
        "APITimeoutError",
        "APIConnectionError",
    }
)
# The body of a response had begun.
_BROKE_OFF_MIDWAY = frozenset({"ClientPayloadError", "TransferEncodingError", "ContentLengthError", "IncompleteRead"})
_NOT_WHAT_IT_SAYS = frozenset(
    {
        "JSONDecodeError",
        "UnicodeDecodeError",
        "ValidationError",
        "APIResponseValidationError",
        "BadStatusLine",
        "ContentEncodingError",
        "InvalidHeader",
        "LineTooLong",
    }
)
_BY_NAME: Mapping[str, type[LMError]] = {
    "ContextWindowExceededError": ContextWindowExceededError,
    "AuthenticationError": AuthenticationError,
    "PermissionDeniedError": AuthenticationError,
    "RateLimitError": RateLimitError,
    "NotFoundError": BadRequestError,
    "BadRequestError": BadRequestError,
    "UnprocessableEntityError": BadRequestError,
    "UnsupportedParamsError": BadRequestError,
    "ContentPolicyViolationError": BadRequestError,
}
# The `type` of an error object inside a stream, where it has no status of its own.
# Source: Anthropic, "Errors" (the HTTP errors and their types); `server_error` is OpenAI's.
_STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}
# The `code` of an error object, where it is a word. Source: OpenAI, "Error codes".
_TOO_LONG_CODE = "context_length_exceeded"
_STATUS_OF_CODE: Mapping[str, int] = {
    "invalid_api_key": 401,
    _TOO_LONG_CODE: 400,
}
# Where nothing answered, litellm makes a status up.
_WITHOUT_STATUS = (LMConnectionError, LMInterrupted, LMProtocolError)
_TOO_LONG = re.compile(
    r"context[_ ]length[_ ]exceeded|maximum context length|context window|prompt is too long|too many input tokens",
    re.IGNORECASE,
)
# litellm's words for a response that has no answer in it.
_NO_REPLY = re.compile(
    r"Empty or invalid response|provider returned '\w+' that is not|response with no 'choices'|Error in response object"
)
_STATUS_IN_TEXT = re.compile(r"\b(?:error code|status(?: code)?)\D{0,3}([45]\d\d)\b", re.IGNORECASE)


class CleanedError(Exception):
    """Stands in a chain for an exception of another library.

    Attributes:
        type_name: the full name of the exception's type.
        status_code: the HTTP status, where it had one.
    """

    type_name = ""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class _Said(Exception):
    """Stands at the end of a chain for the error object that a provider sent inside its stream."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("an error object inside the stream")
        self.body = body


def translated(
    error: BaseException,
    *,
    model: str,
    secrets: Sequence[str],
    begun: bool,
    said: Mapping[str, Any] | None = None,
    cut_off: bool = False,
    look_at: str | None = None,
) -> LMError:
    """What our callers get for a foreign exception; raise it outside the `except` block.

    Args:
        error: what the provider's library raised.
        model: as the LM was given it.
        secrets: what must not be shown (`secrets.known_secrets`).
        begun: whether some of the reply had come.
        said: the error object that the provider sent inside its stream, where it did; its
            words go before what a library made of them.
        cut_off: whether the stream ended inside a line, so that a library could not read it.
        look_at: what to look at, where the caller knows it better than the status tells.
    """
    chain = list(_chain(error))
    if said is not None and not any(map(_answered, chain)):
        chain.append(_Said(said))
    status = _status(chain)
    kind = _kind(chain, status, begun, cut_off)
    message = scrub(own_words(chain[-1]) if kind is LMConnectionError else words_of(chain), secrets)
    if "LLM Provider NOT provided" in message:  # litellm's words, which go on for long
        message = f"no provider is known for this model; name it first, as in {'openai/' + model!r}"
    provider = next((name for link in chain if (name := getattr(link, "llm_provider", None))), None)
    ours = kind(
        f"{model}: {look_at if look_at is not None else _says(kind, status)}{message}",
        status_code=status if kind not in _WITHOUT_STATUS or any(map(_answered, chain)) else None,
        provider=str(provider) if provider else provider_of(model),
        model=model,
        retry_after=retry_after_of(chain),
    )
    ours.__cause__ = cleaned(error, secrets)
    return ours


def provider_of(model: str) -> str | None:
    """The provider that a model's name begins with, in litellm's words."""
    return model.partition("/")[0] if "/" in model else None


def _kind_of_status(status: int | None) -> type[LMError]:
    """The type for an HTTP status; `LMError` itself where it says nothing."""
    if status in (401, 403):
        return AuthenticationError
    if status == 429:
        return RateLimitError
    if status in (400, 404, 405, 413, 415, 422):
        return BadRequestError
    if status is not None and status >= 500:
        return ServerError
    return LMError


def cleaned(error: BaseException, secrets: Sequence[str], depth: int = 0) -> CleanedError:
    """A copy of a foreign exception and of its causes, without tracebacks and secrets."""
    foreign = type(error)
    name = f"{foreign.__module__}.{foreign.__qualname__}"
    kind = type(foreign.__name__, (CleanedError,), {"__module__": foreign.__module__, "type_name": name})
    copy: CleanedError = kind(scrub(own_words(error), secrets), _own_status(error))
    below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if below is not None and depth < _DEEPEST_CHAIN:
        copy.__cause__ = cleaned(below, secrets, depth + 1)
    return copy


def without_context(error: LMStreamError) -> LMStreamError:
    """One of our own errors without what was being handled when it was raised.

    A deadline interrupts the task deep in an HTTP library: the cancellation, which Python
    keeps as the error's context, has frames with headers in them.
    """
    error.__context__ = None
    error.__traceback__ = None
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen or len(seen) > 12:
            continue
        seen.add(id(link))
        yield link
        # litellm wraps what breaks off in mid-stream, and says so in an attribute only.
        waiting += [getattr(link, "original_exception", None), link.__cause__, link.__context__]


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _kind(chain: Sequence[BaseException], status: int | None, begun: bool, cut_off: bool) -> type[LMError]:
    names: set[str] = set().union(*map(_names, chain))
    answered = any(_answered(link) for link in chain)
    # aiohttp's word for a head, or for the size of a chunk, that is none: of this very type.
    unlike = bool(names & _NOT_WHAT_IT_SAYS) or any(
        type(link).__name__ == "HttpProcessingError" or _nested_too_deep(link) for link in chain
    )
    if not answered and (cut_off or any(map(_ends_inside_a_character, chain))):
        return LMInterrupted
    if begun:
        return LMProtocolError if unlike and not answered else LMInterrupted
    if not answered:
        # litellm gives these a status of its own invention.
        if names & _NOT_REACHED:
            return LMConnectionError
        # Something is missing: litellm and the openai package read a chunk or a reply that is none.
        if unlike or type(chain[-1]) in (AttributeError, KeyError, IndexError) or _NO_REPLY.search(words_of(chain)):
            return LMProtocolError
        if names & _BROKE_OFF_MIDWAY:
            return LMInterrupted
        if names & _BROKE_OFF:
            return LMConnectionError
    by_status = _kind_of_status(status)
    if by_status in (BadRequestError, LMError):
        if "ContextWindowExceededError" in names or _says_too_long(chain):
            return ContextWindowExceededError
        if by_status is LMError and type(chain[-1]) is _Said:
            # What the library's own error is called is its invention.
            return ServerError if status is None else LMError
        for link in chain:
            for kind in type(link).__mro__:
                if kind.__name__ in _BY_NAME:
                    return _BY_NAME[kind.__name__]
    if by_status is LMError and status is None and any(type(link).__name__ == "APIError" for link in chain):
        return ServerError  # an error object, status 200, in the place of a reply
    return by_status


def _answered(error: BaseException) -> bool:
    """Whether the provider itself answered: with an HTTP error, or an error object in a stream."""
    if isinstance(getattr(error, "body", None), Mapping) or is_error_object(error):
        return True
    return (
        "APIStatusError" in _names(error)
        and "openai" in type(error).__module__
        or (type(error).__name__ == "HTTPStatusError")
    )


def _nested_too_deep(error: BaseException) -> bool:
    """Whether it is the JSON of a reply that nests too deep, and not what is sent."""
    return isinstance(error, RecursionError) and " decoding " in str(error)


def _ends_inside_a_character(error: BaseException) -> bool:
    return isinstance(error, UnicodeDecodeError) and error.reason == "unexpected end of data"


def _status(chain: Sequence[BaseException]) -> int | None:
    for link in reversed(chain):
        if _answered(link) and (status := _own_status(link)) is not None:
            return status
    for body in _bodies(chain):
        code, kind = body.get("code") or body.get("status"), body.get("type")
        found = int(code) if isinstance(code, (int, str)) and str(code).isdecimal() else 0
        if not 400 <= found < 600:
            found = _STATUS_OF_CODE.get(str(code)) or _STATUS_OF_TYPE.get(str(kind)) or 0
        if found:
            return found
        if "rate_limit" in f"{code} {kind}":
            return 429
    if type(chain[-1]) is _Said:
        return None  # whatever the library made up
    for link in chain:
        if (status := _own_status(link)) is not None:
            return status
    named = _STATUS_IN_TEXT.search(words_of(chain))
    return int(named[1]) if named else None


def _bodies(chain: Sequence[BaseException]) -> Iterator[Mapping[str, Any]]:
    """The error objects that the links of a chain carry."""
    for link in chain:
        body = getattr(link, "body", None)
        if isinstance(body, Mapping):
            inner = body.get("error")
            yield inner if isinstance(inner, Mapping) else body


def _says_too_long(chain: Sequence[BaseException]) -> bool:
    """Whether the request does not fit into the model's context, by the code or in words."""
    return any(body.get("code") == _TOO_LONG_CODE for body in _bodies(chain)) or bool(_TOO_LONG.search(words_of(chain)))


def _own_status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
        if isinstance(status, str) and status.isdigit():
            return int(status)
    return None


def _says(kind: type[LMError], status: int | None) -> str:
    """What to look at, in words of ours before the provider's."""
    if kind is LMConnectionError:
        return "the provider could not be reached; look at api_base, and whether the server runs: "
    if kind is LMInterrupted:
        return "the reply broke off: "
    if kind is LMProtocolError:
        return "the reply is not what it says it is: "
    if kind is AuthenticationError:
        return "the provider does not accept the key (api_key=...): "
    if kind is BadRequestError and status == 404:
        return "the provider does not know this (404); look at the model's name and at api_base: "
    return ""
