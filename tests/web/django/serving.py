"""The project behind a server of the kind asked for: `python -m tests.web.django.serving uvicorn`.

Prints the port, and serves until its standard input is closed.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

KINDS = ("wsgiref", "waitress", "gevent", "uvicorn")


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 512


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def main(kind: str) -> None:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    if kind == "gevent":  # the thread above stays one of the system's
        from gevent import monkey

        monkey.patch_all()
    from tests.web.django import project

    if kind == "wsgiref":
        server = make_server("127.0.0.1", 0, project.wsgi, Threaded, Quiet)
        print(server.server_port, flush=True)
        server.serve_forever()
    elif kind == "waitress":
        import waitress

        waiting = waitress.create_server(project.wsgi, port=0, host="127.0.0.1", threads=8)
        print(waiting.effective_port, flush=True)
        waiting.run()
    elif kind == "gevent":
        from gevent.pywsgi import WSGIServer as GreenletServer

        green = GreenletServer(("127.0.0.1", 0), project.wsgi, log=None)
        green.start()
        print(green.server_port, flush=True)
        green.serve_forever()
    else:
        import uvicorn

        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(project.asgi, log_level="warning", lifespan="off")).run([listening])


if __name__ == "__main__":
    main(sys.argv[1])
