"""A format served over real HTTP, and Node reading it."""

from __future__ import annotations

import contextvars
import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import make_server

from lmstream_sync import Stream
from lmstream_sync.streaming.format import Format
from lmstream_sync.web.body import Body

from ...provision import NODE_FOLDER, need, need_node_modules


@contextmanager
def served(
    open_stream: Callable[[], Stream],
    make: Callable[[], Format],
    *,
    expose_errors: bool = False,
    files: Mapping[str, bytes] | None = None,
) -> Iterator[str]:
    """The URL at which every request, whatever its path, gets a new stream in this format.

    Args:
        open_stream: makes it; called with the settings that hold here.
        make: makes the format.
        expose_errors: tell the message of an error.
        files: paths at which something else is.
    """
    context = contextvars.copy_context()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if files is not None and path in files:
            start_response("200 OK", [("Content-Type", "text/javascript" if path.endswith(".js") else "text/html")])
            return [files[path]]
        format = make()
        start_response("200 OK", [("Content-Type", format.content_type), *format.headers.items()])
        return Body(context.copy().run(open_stream), format, 15, "stop", expose_errors)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


def node(script: str, *arguments: str, input: Any = None) -> Any:
    """What a script of the folder `node` prints, as JSON. Fails where node or its packages are missing."""
    need_node_modules()
    given = None if input is None else json.dumps(input)
    command = [need("node"), str(NODE_FOLDER / script), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=50, cwd=NODE_FOLDER)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
