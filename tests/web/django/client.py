"""A reader of a site that sees the pieces as they come, and can go away."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from lmstream_sync.testing import read_sse

_keys = itertools.count(1)


def new_key() -> str:
    """A name under which a test has something saved."""
    return f"key-{next(_keys)}"


class Reading:
    """One request, sent, and its answer, read as the test likes."""

    def __init__(
        self,
        port: int,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        chunked = body is not None and not isinstance(body, bytes)
        self._connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
        self._answer: http.client.HTTPResponse | None = None
        self.got = b""

    @property
    def answer(self) -> http.client.HTTPResponse:
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> http.client.HTTPMessage:
        return self.answer.headers

    def read(self) -> bytes:
        """All that is left."""
        self.got += self.answer.read()
        return self.got

    def read_until(self, text: str) -> bytes:
        """As far as this text."""
        while text.encode() not in self.got:
            piece = self.answer.read1()
            assert piece, f"the body ended without {text!r}: {self.got!r}"
            self.got += piece
        return self.got

    def json(self) -> Any:
        return json.loads(self.read())

    def events(self) -> list[dict[str, Any]]:
        return read_sse(self.read())

    def text(self) -> str:
        """The text of the answer's chunks."""
        return "".join(event["chunk"]["chunk"] for event in self.events() if "chunk" in event)

    def leave(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._connection.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.leave()


class Site:
    """The project behind a server."""

    def __init__(self, kind: str, port: int, *, atomic: bool = False) -> None:
        self.kind = kind
        self.port = port
        self.atomic = atomic

    def get(self, view: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Reading:
        return self.send("GET", view, headers=headers, **query)

    def send(
        self,
        method: str,
        view: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Reading:
        return Reading(self.port, method, f"/{view}?{urlencode(query)}", body, headers)

    def saved(self, key: str) -> list[dict[str, Any]]:
        """What was saved under a key; waits until something was."""
        with self.get("saved", key=key) as reading:
            rows: list[dict[str, Any]] = reading.json()["rows"]
        return rows

    def __repr__(self) -> str:
        return self.kind
