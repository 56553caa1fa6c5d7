"""What the failures of a request of the direct engine mean: a refusal, a stream that breaks off, an exception.

Every error is made here with the secrets of its request taken out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lmstream_sync.errors import LMError, LMInterrupted, LMProtocolError
from lmstream_sync.lm.direct_chunks import DirectReader
from lmstream_sync.lm.direct_http import Response
from lmstream_sync.lm.direct_unreached import unreached
from lmstream_sync.lm.endpoints import no_key_given
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.failure_words import own_words
from lmstream_sync.lm.failures import cleaned, provider_of, translated, without_context
from lmstream_sync.lm.json_decoding import plain_json
from lmstream_sync.lm.litellm_chunks import no_choices
from lmstream_sync.lm.said_errors import error_without_choices, failure_said
from lmstream_sync.lm.secrets import known_secrets, scrub

__all__ = ["REFUSAL_SECONDS", "failure_of", "judged", "malformed", "status_error"]

#: Of the body of a refusal so many bytes are read, and for so many seconds: its status says enough.
_LONGEST_REFUSAL = 64 * 1024
REFUSAL_SECONDS = 1.0


class HTTPStatusError(Exception):
    """The provider answered with a status that is no success; `failures` reads the attributes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Any, words: str) -> None:
        super().__init__(words)
        self.status_code = status
        self.headers = dict(headers)
        self.body = body


async def status_error(response: Response) -> HTTPStatusError:
    """The refusal that a response is, with the words of its body as far as they come soon."""
    text = b""

    async def read() -> None:
        nonlocal text
        while len(text) < _LONGEST_REFUSAL and (piece := await response.content.readany()):
            text += piece

    with suppress(Exception):  # the status is known without it
        await asyncio.wait_for(read(), REFUSAL_SECONDS)
    body: Any = None
    with suppress(ValueError):
        body = plain_json(text)
    if response.status < 400:
        words = "the endpoint redirects to another address; set api_base to that one"
        return HTTPStatusError(400, response.headers, None, f"{words} (status {response.status})")
    words = text.decode("utf-8", "replace").strip()
    if words.startswith("<"):
        words = f"{response.status} {response.reason or ''}: a page of HTML came; look at api_base"
    return HTTPStatusError(
        response.status,
        response.headers,
        body if isinstance(body, Mapping) else None,
        words or f"{response.status} {response.reason or ''}".strip(),
    )


def judged(request: LMRequest, reader: DirectReader, cut_off: bool) -> LMError | None:
    """The error, where the stream ended before the reply did."""
    if reader.error is not None:
        return failure_said(reader.error, request, begun=reader.begun)
    if reader.refused is not None:
        return malformed(request, reader.refused)
    if (stray := reader.stray) is not None:
        if (told := error_without_choices(stray)) is not None:
            return failure_said(told, request, begun=False)
        if reader.complete:
            return no_choices(request.model)
    if reader.complete:
        return None
    if cut_off:
        said = "its stream ended inside a line"
    elif reader.begun:
        said = "its stream ended with neither a finish reason nor [DONE]"
    else:
        said = "the provider sent nothing"
    return LMInterrupted(
        f"{request.model}: the reply broke off: {said}", provider=provider_of(request.model), model=request.model
    )


def malformed(request: LMRequest, error: Exception) -> LMError:
    """What an event, or a whole reply, that is none means."""
    secrets = known_secrets(request.options)
    failure = LMProtocolError(
        f"{request.model}: the reply is not what it says it is: {scrub(own_words(error), secrets)}",
        provider=provider_of(request.model),
        model=request.model,
    )
    failure.__cause__ = cleaned(error, secrets)
    return failure


def failure_of(error: Exception, request: LMRequest, *, begun: bool, keyless: bool = False) -> LMError:
    """What an exception means, in the types that both engines raise.

    Args:
        error: what was raised while the request was sent or its reply read.
        request: what was asked.
        begun: whether something of the reply had come.
        keyless: the request carried no key, and was refused for that.
    """
    if isinstance(error, LMError):
        without_context(error)  # and without the frames that hold what the provider said
        return error
    secrets = known_secrets(request.options)
    look_at = no_key_given(request.model) if keyless else None
    return unreached(error, request, secrets) or translated(
        error, model=request.model, secrets=secrets, begun=begun, look_at=look_at
    )
