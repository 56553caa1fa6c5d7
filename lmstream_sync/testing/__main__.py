"""`python -m lmstream_sync.testing`: a scripted model in a process of its own.

Prints its URL (for `api_base`) on the first line and serves until it is killed. `GET
/_stats` tells its counters. Needed under gevent, which allows one event loop a process,
and wherever the measured process should do nothing else.
"""

from __future__ import annotations

import argparse
import threading

from lmstream_sync.testing import Reply, ScriptedServer


def main() -> None:
    """Serve one reply again and again."""
    parser = argparse.ArgumentParser(prog="python -m lmstream_sync.testing", description="A scripted model server.")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--reply", default="[[ ## answer ## ]]\nHello there.\n\n[[ ## completed ## ]]")
    parser.add_argument("--cut", type=int, default=None, help="characters of a piece; words when left out")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between two pieces")
    options = parser.parse_args()
    script = Reply(options.reply.replace("\\n", "\n"), cut=options.cut, delay=options.delay)
    with ScriptedServer(script, port=options.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
