"""A reader of the scripted server that is nothing but sockets: it sees what was sent, and can go away."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any

from lmstream_sync.testing import read_sse
from lmstream_sync.testing.observed import ObservedServer


class Client:
    """One request: sent at once, read as the test likes."""

    def __init__(
        self,
        server: ObservedServer,
        *,
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> None:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        self._connection = http.client.HTTPConnection(host, timeout=10)
        asked = {"model": "m", "messages": [{"role": "user", "content": "How are you?"}], **body}
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._connection.request("POST", path, json.dumps(asked), sent)
        self._response: http.client.HTTPResponse | None = None

    @property
    def response(self) -> http.client.HTTPResponse:
        """The response, once its head has come."""
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response

    def read(self) -> bytes:
        """All that comes, until the end."""
        return self.response.read()

    def json(self) -> Any:
        """The whole body as JSON."""
        return json.loads(self.read())

    def leave(self) -> None:
        """Go away, whatever comes."""
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.leave()


def ask(server: ObservedServer, **body: Any) -> Any:
    """The whole reply."""
    with Client(server, **body) as client:
        return client.json()


def stream(server: ObservedServer, **body: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed reply."""
    with Client(server, stream=True, **body) as client:
        return read_sse(client.read())


def deltas(chunks: list[dict[str, Any]], key: str = "content", choice: int = 0) -> list[str]:
    """What the chunks say, piece by piece; the opening with the role, which says nothing, left out."""
    return [
        each["delta"][key]
        for chunk in chunks
        for each in chunk["choices"]
        if each["index"] == choice and each["delta"].get(key) is not None and "role" not in each["delta"]
    ]
