"""A small server for the chat page with a program behind it: `python -m lmstream_sync demo` runs it.

The standard library's WSGI server, a thread for each connection. For one's own machine: it
listens on loopback only, and is no server for production.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from lmstream_sync.streaming.stream import Stream
from lmstream_sync.web.page import policy_for
from lmstream_sync.web.wsgi import wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["DemoServer", "demo_app"]

#: Seconds of silence after which it is looked whether the reader is still there. Short, as here
#: nobody minds the bytes, and a stop button should stop a model that has said nothing yet.
HEARTBEAT = 1.0

#: Seconds to wait for the first output, in which nobody looks whether the reader is there.
WAIT_FIRST = 2.0


def demo_app(ask: Callable[..., Stream], page: str, *, heartbeat: float = HEARTBEAT) -> WSGIApplication:
    """A WSGI app: the page at `/`, the program at `/ask`.

    Args:
        ask: a streamified program.
        page: what `chat_page` gave, with its default endpoint.
        heartbeat: seconds.
    """
    program = wsgi_app(ask, heartbeat=heartbeat, wait_first=WAIT_FIRST)
    policy = policy_for(page)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/ask":
            return program(environ, start_response)
        known = path == "/" and environ["REQUEST_METHOD"] in ("GET", "HEAD")
        body = page.encode() if known else b"Not found.\n"
        headers = [
            ("Content-Type", "text/html; charset=utf-8" if known else "text/plain"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ]
        start_response("200 OK" if known else "404 Not Found", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return app


class _Requests(WSGIRequestHandler):
    def handle(self) -> None:
        """One request; the connection ends with it."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: what fails is in the log of the library."""

    def address_string(self) -> str:
        """The address as it is: names would be looked up."""
        return str(self.client_address[0])


class DemoServer(ThreadingMixIn, WSGIServer):
    """Serves an app on 127.0.0.1, a thread for each connection.

        with DemoServer(demo_app(ask, chat_page()), port=8321) as server:
            server.serve_forever()

    Args:
        app: a WSGI app.
        port: 0 for a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True
    # Else a second server could share the port on Windows.
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, app: WSGIApplication, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Requests)
        self.set_app(app)

    def server_bind(self) -> None:
        """Bind, without asking for the name of this machine, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])
        self.setup_environ()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"
