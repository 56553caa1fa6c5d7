"""nginx in front of a server under test, with its own defaults: it holds responses back (`proxy_buffering on`)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.provision import need
from tests.web.servers.running import RunningServer

__all__ = ["start_nginx"]

_CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr notice;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {more}
    server {{
        listen unix:{folder}/socket;
        location / {{ proxy_pass http://127.0.0.1:{port}; }}
    }}
}}
"""

#: Compression of every response, also of those that come from elsewhere.
GZIP = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream;"


def start_nginx(folder: Path, port: int, more: str = "") -> tuple[RunningServer, str]:
    """Start it; gives it, and the path of the Unix socket on which it listens.

    Args:
        folder: for its files; a short path.
        port: of the server behind it, on 127.0.0.1.
        more: further lines for all servers.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, more=more, user=user))
    server = RunningServer([need("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)], {}, "")
    try:
        server.wait_for_line("start worker process ")
    except BaseException:
        server.stop()
        raise
    return server, str(folder / "socket")
