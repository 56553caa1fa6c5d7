"""The four doors of WSGI and Flask, so that one test holds for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from flask import Flask, request

from lmstream_sync.web.flask import programs_blueprint, stream_response as flask_response
from lmstream_sync.web.wsgi import stream_response as wsgi_response, wsgi_app


def _by_wsgi_view(program: Any, on_end: Any, options: dict[str, Any]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        stream = program(**{name: value for name, (value,) in parse_qs(environ["QUERY_STRING"]).items()})
        if on_end is not None:
            stream.on_end(on_end)
        return wsgi_response(environ, start_response, stream, **options)

    return app


def _by_wsgi_app(program: Any, on_end: Any, options: dict[str, Any]) -> Any:
    return wsgi_app(program, on_end=on_end, **options)


def _by_flask_view(program: Any, on_end: Any, options: dict[str, Any]) -> Any:
    app = Flask(__name__)

    @app.get("/ask")
    def ask() -> Any:
        stream = program(**request.args)
        if on_end is not None:
            stream.on_end(on_end)
        return flask_response(stream, **options)

    return app


def _by_blueprint(program: Any, on_end: Any, options: dict[str, Any]) -> Any:
    app = Flask(__name__)
    app.register_blueprint(programs_blueprint({"ask": program}, url_prefix="/", on_end=on_end, **options))
    return app


@dataclass(frozen=True)
class Door:
    """One way to serve a program at `/ask`.

    Attributes:
        name: for the test's id.
        calls: whether the door calls the program itself, or a view does.
    """

    name: str
    calls: bool
    make: Callable[[Any, Any, dict[str, Any]], Any]

    def app(self, program: Any, *, on_end: Any = None, **options: Any) -> Any:
        """The WSGI app.

        Args:
            program: what `streamify` gave.
            on_end: for `Stream.on_end`.
            **options: of the response.
        """
        return self.make(program, on_end, options)


DOORS = [
    Door("wsgi-view", False, _by_wsgi_view),
    Door("wsgi-app", True, _by_wsgi_app),
    Door("flask-view", False, _by_flask_view),
    Door("flask-blueprint", True, _by_blueprint),
]
