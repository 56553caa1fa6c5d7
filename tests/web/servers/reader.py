"""The client: reads server-sent events as they come over a socket, and can hang up at any byte."""

from __future__ import annotations

import http.client
import json
import socket
import time
import zlib
from typing import Any
from urllib.parse import urlencode

from tests.web.servers.running import SOON

__all__ = ["Reader", "get_json"]


class _UnixConnection(http.client.HTTPConnection):
    """Over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: int | str, timeout: float) -> http.client.HTTPConnection:
    if isinstance(address, int):
        return http.client.HTTPConnection("127.0.0.1", address, timeout=timeout)
    return _UnixConnection(address, timeout)


class Reader:
    """One request, sent at once, read as the test likes.

    Args:
        address: a port on 127.0.0.1, or the path of a Unix socket.
        path: of the URL.
        method: of the request.
        headers: of the request.
        timeout: seconds that one wait may take, for an event, a text or so many heartbeats.
        **query: behind the path.

    Attributes:
        socket: the connection, to look whether anything came.
    """

    def __init__(
        self,
        address: int | str,
        path: str = "/stream",
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        timeout: float = SOON,
        **query: Any,
    ) -> None:
        self._connection = _connection(address, timeout)
        self._connection.request(method, f"{path}?{urlencode(query)}" if query else path, headers=headers or {})
        self.socket = self._connection.sock
        self._response: http.client.HTTPResponse | None = None
        self._inflate: Any = None
        self._rest = ""
        self._timeout = timeout

    @property
    def response(self) -> http.client.HTTPResponse:
        """The head, waited for."""
        if self._response is None:
            self._response = self._connection.getresponse()
            if self._response.headers.get("Content-Encoding") == "gzip":
                self._inflate = zlib.decompressobj(31)
        return self._response

    @property
    def worker(self) -> int:
        """The number of the process that answers."""
        return int(self.response.headers["X-Worker"])

    def _more(self) -> str:
        data = self.response.read1(65536)
        if data and self._inflate is not None:
            return self._inflate.decompress(data).decode() or self._more()
        return data.decode()

    def event(self, until: float | None = None) -> str | None:
        """The next event's data, or comment with its colon, waited for; `None` at the end of the response.

        Raises:
            TimeoutError: the next byte, or what is waited for until then, did not come in time.
            OSError, http.client.HTTPException: the connection broke.
        """
        until = until or time.monotonic() + self._timeout
        while "\n\n" not in self._rest:
            if time.monotonic() > until:
                raise TimeoutError("what is waited for did not come")
            more = self._more()
            if not more:
                return None
            self._rest += more
        event, _, self._rest = self._rest.partition("\n\n")
        lines = [line.removeprefix("data: ") for line in event.split("\n") if line.startswith(("data: ", ":"))]
        return "\n".join(lines)

    def chunk(self) -> str | None:
        """The next piece of text, heartbeats passed over; `None` at the end."""
        until = time.monotonic() + self._timeout
        while (event := self.event(until)) is not None:
            if event.startswith('{"chunk"'):
                return str(json.loads(event)["chunk"]["chunk"])
        return None

    def heartbeats(self, count: int) -> None:
        """Read until so many heartbeats came: the stream lives, and time passes."""
        until = time.monotonic() + self._timeout
        while count:
            event = self.event(until)
            assert event is not None, "the response ended"
            count -= event.startswith(":")

    def rest(self) -> list[str]:
        """The data of all events to the end of the response; raises as `event` does."""
        until = time.monotonic() + self._timeout
        return [event for event in iter(lambda: self.event(until), None) if not event.startswith(":")]

    def leave(self) -> None:
        """Hang up, whatever comes."""
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.leave()


def get_json(address: int | str, path: str) -> Any:
    """What the app tells there."""
    with Reader(address, path) as reader:
        return json.loads(reader.response.read())
