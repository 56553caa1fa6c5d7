"""A WSGI app on a real server in a thread, and a client that sees what goes over the wire."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from wsgiref.validate import validator

from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """No lines for each request."""

    def make_environ(self) -> Any:
        """As PEP 3333 has it: all strings."""
        environ = super().make_environ()
        return {**environ, "REMOTE_PORT": str(environ["REMOTE_PORT"])}


class _Noted:
    """A body that tells when it has been closed."""

    def __init__(self, body: Any, closed: threading.Event) -> None:
        self._body = body
        self._closed = closed

    def __iter__(self) -> Any:
        return iter(self._body)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
        self._closed.set()


class Got:
    """A whole response.

    Attributes:
        status, headers, body: what came; names of headers in lower case.
    """

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def error(self) -> dict[str, Any]:
        """What a JSON error says."""
        assert self.headers["content-type"] == "application/json"
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class Site:
    """A site that is being served.

    Attributes:
        port: where.
        closed: set when the server has closed the body of a response, and that has returned.
    """

    def __init__(self) -> None:
        self.port = 0
        self.closed = threading.Event()

    def noted(self, app: Any) -> Any:
        """The app, with a look at when its bodies are closed."""

        def noting(environ: Any, start_response: Any) -> Any:
            return _Noted(app(environ, start_response), self.closed)

        return noting

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Got:
        """Ask, and read the whole response."""
        with self.opened(method, path, body, headers) as response:
            return Got(response)

    def get(self, path: str, **headers: str) -> Got:
        """The same for GET; an underscore in a header's name is a hyphen."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any, content_type: str | None = "application/json") -> Got:
        """The same for POST; what is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"Content-Type": content_type} if content_type else {})

    @contextmanager
    def opened(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask; at the end of the block the client hangs up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            try:
                yield response
            finally:
                response.close()
        finally:
            connection.close()

    def raw(self, data: bytes, *, then_close: bool = False) -> bytes:
        """Send these bytes, and read until the server hangs up.

        Args:
            then_close: send nothing more, which the server sees as the end of the body.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(data)
            if then_close:
                client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65_536):
                answer += piece
        return answer


@contextmanager
def live(app: Any, *, validated: bool = True, send_buffer: int | None = None) -> Iterator[Site]:
    """Serve an app by werkzeug's threaded server.

    Args:
        app: a WSGI app.
        validated: with `wsgiref.validate` round it, which raises where the app breaks PEP 3333.
        send_buffer: bytes that the system may hold for a client who does not read.
    """
    site = Site()
    app = site.noted(validator(app) if validated else app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    site.port = server.port
    if send_buffer is not None:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
