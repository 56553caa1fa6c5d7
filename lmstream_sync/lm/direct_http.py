"""HTTP for the direct engine: one session a loop, its connections kept alive.

Connections are kept by endpoint, proxy and TLS settings, whatever LM they were opened for.
No limit on their number and no HTTP time-out but that for connecting: what waits, and for
how long, is decided above.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import urllib.request
from contextlib import suppress
from functools import cache, lru_cache, partial
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.direct_request import Outgoing, without_user
from lmstream_sync.lm.endpoints import said
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.loop import at_loop_end

__all__ = ["Connections", "Response", "connections", "get_ready", "hang_up", "read_to_end"]

Response: TypeAlias = aiohttp.ClientResponse

#: Seconds that an idle connection is kept.
_KEEP_ALIVE = 30.0

#: Seconds that the end of a response may take after its `[DONE]`.
END_SECONDS = 0.05

_MOST_REDIRECTS = 3
_PROXY_VARIABLES = (
    ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
    ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
)
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Connections:
    """The open connections of one process."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._authorities: dict[str, ssl.SSLContext] = {}
        # Sessions of loops that are gone: their finalizers would touch the sockets of another process.
        self._buried: list[Any] = []

    async def send(self, method: str, outgoing: Outgoing, connect: float | None) -> Response:
        """Send a request; give the response when its head has come.

        A redirect is followed where it leads to the same host: the key goes to no other.
        """
        url, headers = outgoing.url, outgoing.headers
        limit = _limit(connect)
        for _ in range(_MOST_REDIRECTS + 1):
            safe = url.startswith("https:")
            proxy, user = _proxy(url)
            told: dict[str, str] | None = None
            if user is not None:
                told = {"Proxy-Authorization": user}
                if not safe:
                    # A request through a tunnel shows the proxy nothing but what opens the tunnel.
                    headers = {**outgoing.headers, **told}
            response = await self._opened().request(
                method,
                url,
                data=aiohttp.BytesPayload(outgoing.body) if outgoing.body else None,
                headers=headers,
                timeout=limit,
                allow_redirects=False,
                ssl=await self._authority() if safe else True,
                proxy=proxy,
                proxy_headers=told if safe else None,
            )
            elsewhere = _same_host(url, response.headers.get("Location")) if response.status in (307, 308) else None
            if elsewhere is None:
                return response
            response.close()
            url, headers = elsewhere, outgoing.headers
        return response

    def _opened(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._session
        if session is None or self._loop is not loop or session.closed:
            self.bury()
            session = aiohttp.ClientSession(
                connector=_Connector(limit=0, keepalive_timeout=_KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
            self._session, self._loop = session, loop
        return session

    async def _authority(self) -> ssl.SSLContext | bool:
        """The certificates to trust: the environment's, else the system's, else those of certifi."""
        file = said(*_CA_VARIABLES) or _without_certificates()
        if file is None:
            return True
        found = self._authorities.get(file)
        if found is None:
            made = asyncio.get_running_loop().run_in_executor(None, _trusting, file)
            found = self._authorities[file] = await made
        return found

    def bury(self) -> None:
        """Forget the session, and keep it from being finalized."""
        if self._session is not None and not self._session.closed:
            self._buried.append(self._session)
        self._session = self._loop = None

    async def close(self) -> None:
        """Close what is open; at the loop's end."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()


class _Protocol(ResponseHandler):
    """aiohttp's, but for two things. A version without the names that are used here does as it always does.

    It tells nobody of a chunk that is none in the midst of a body: who reads would wait for ever. And
    it is told to read on whenever a chunk was taken out, which takes six calls to find out that
    nothing was paused.
    """

    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        if getattr(self, "_reading_paused", True) or getattr(self, "_buffer_paused", True):
            super().resume_reading(*args, **kwargs)

    def set_exception(self, exc: Any, *args: Any, **kwargs: Any) -> None:
        super().set_exception(exc, *args, **kwargs)
        body = getattr(self, "_payload", None)  # aiohttp's own name for it
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class _Socket(socket.socket):
    """One that says of what kind it is by plain numbers: asyncio asks seven times for each connection.

    `socket.socket` looks an enumeration's member up for each answer.
    """

    if issubclass(socket.socket, socket.SocketType):  # else somebody put a class of his own in its place
        family: Any = socket.SocketType.family
        type: Any = socket.SocketType.type


def _new_socket(address: Any) -> socket.socket:
    """A socket for what `getaddrinfo` gave."""
    return _Socket(*address[:3])


class _Connector(aiohttp.TCPConnector):
    """Opens connections that speak `_Protocol`, over `_Socket`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(socket_factory=_new_socket, **options)
        self._factory: Any = partial(_Protocol, loop=asyncio.get_running_loop())


@lru_cache(maxsize=100)
def _limit(connect: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _trusting(file: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(file):
            return ssl.create_default_context(capath=file)
        return ssl.create_default_context(cafile=file)
    except OSError as error:  # `ssl.SSLError` is one
        why = error.strerror or str(error)
    name = next((name for name in _CA_VARIABLES if said(name) == file), "certifi")
    raise ConfigurationError(f"{name}={file}: this is no file of certificates, or cannot be read ({why})")


def get_ready() -> None:
    """Import and find out, in a worker, what connecting would on the loop."""
    # Of asyncio's own, for each address with a certificate: `"localhost".encode("idna")`.
    "localhost".encode("idna")
    "".encode("unicode_escape")  # of `scrub`'s, for the first error
    _without_certificates()


@cache
def _without_certificates() -> str | None:
    """The certificates of certifi where the system has none; asked once, as that looks at the disk."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and os.listdir(paths.capath)):
        return None
    with suppress(ImportError):
        import certifi  # a small file, and only in images without certificates

        return certifi.where()
    return None


def _proxy(url: str) -> tuple[str | None, str | None]:
    """The proxy that the environment names for a URL, and what tells it the user. Source: `urllib.request`."""
    parts = urlsplit(url)
    if said(*_PROXY_VARIABLES[parts.scheme == "https"]) is None:
        return None, None  # at once: to read the whole environment takes longer than to make the request
    proxies = urllib.request.getproxies_environment()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.netloc):
        return None, None
    return without_user(found if "://" in found else "http://" + found)


def _same_host(url: str, location: str | None) -> str | None:
    """Where a redirect leads, if that is the same host, by a way that is no less safe."""
    if not location:
        return None
    try:
        there = urljoin(url, location)
        here, to = urlsplit(url), urlsplit(there)
        _ = to.port
    except ValueError:  # no address at all
        return None
    if here.hostname != to.hostname:
        return None
    if (here.scheme, here.port) == (to.scheme, to.port) or (
        (here.scheme, to.scheme) == ("http", "https") and here.port in (None, 80) and to.port in (None, 443)
    ):
        return there
    return None


def hang_up(response: Response, *, whole: bool) -> None:
    """Give the connection back where its response was read to the end, else close it now; never waits."""
    if not whole or not response.content.at_eof():
        response.close()
    elif not response.closed:  # its end gave the connection back already, as it mostly does
        response.release()


async def read_to_end(response: Response) -> None:
    """Read the little that may follow `[DONE]`, for `END_SECONDS` at most, so that the connection can be kept."""

    async def read() -> None:
        while not response.content.at_eof():
            await response.content.readany()

    if not response.content.at_eof():
        with suppress(Exception):  # the reply is whole without it
            await asyncio.wait_for(read(), END_SECONDS)


#: Those of this process.
connections = Connections()
at_loop_end(connections.close)
fork.after_fork_in_child(connections.bury)
