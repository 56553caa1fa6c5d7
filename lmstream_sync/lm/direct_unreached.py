"""What keeps a request of the direct engine from its endpoint, in words that say what to look at.

For what aiohttp raises before a response has begun; all else is `failures`' affair. Places are
shown by host and port: the address itself may hold a user, a password, a key.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from lmstream_sync.errors import LMConnectionError
from lmstream_sync.lm.direct_request import place_of
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.failure_words import own_words
from lmstream_sync.lm.failures import cleaned, provider_of
from lmstream_sync.lm.secrets import scrub

__all__ = ["unreached"]

#: What OpenSSL says of an answer that is no TLS, in its versions.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_PROXY = "look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY"


def unreached(error: Exception, request: LMRequest, secrets: Sequence[str]) -> LMConnectionError | None:
    """The error for an endpoint that was not reached; `None` where something else is the matter.

    Args:
        error: what aiohttp raised, or the refusal that was made of a response.
        request: what was asked.
        secrets: what must not be shown.
    """
    status: int | None = None
    lasting = False
    if isinstance(error, aiohttp.ClientHttpProxyError):
        status, lasting = error.status, error.status == 407
        said = _proxy_refuses(status) + f" ({own_words(error)})"
    elif getattr(error, "status_code", None) == 407:
        status, lasting = 407, True
        said = _proxy_refuses(407)
    elif isinstance(error, aiohttp.ConnectionTimeoutError):
        within = f" within {request.connect:g} s" if request.connect is not None else ""
        said = f"no connection to {place_of(request)} came{within} (Timeout(connect=...) sets this)"
    elif isinstance(error, aiohttp.ClientProxyConnectionError):
        said = f"the proxy at {error.host}:{error.port} could not be reached; {_PROXY}: {_reason(error)}"
    elif isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError)):
        place, reason = f"{error.host}:{error.port}", _reason(error)
        if any(words in reason.upper().replace(" ", "_") for words in _NO_TLS):
            said = f"{place} does not speak TLS; write http:// in api_base, or look at the port: {reason}"
            lasting = True
        else:
            said = (
                f"the provider could not be reached at {place}; look at api_base, and whether the server runs: {reason}"
            )
    else:
        return None
    found = LMConnectionError(
        f"{request.model}: {scrub(said, secrets)}",
        status_code=status,
        provider=provider_of(request.model),
        model=request.model,
    )
    found._lasting = lasting
    found.__cause__ = cleaned(error, secrets)
    return found


def _proxy_refuses(status: int) -> str:
    if status == 407:
        return (
            "the proxy wants to know who asks (407); give it user and password, as in "
            "HTTPS_PROXY=http://user:password@host:port, or name the provider's host in NO_PROXY"
        )
    return f"the proxy does not let through to the provider (status {status}); {_PROXY}"


def _reason(error: Exception) -> str:
    """What the system said, without the address."""
    below = error.__cause__ or getattr(error, "certificate_error", None)
    return own_words(below if isinstance(below, Exception) else error)
