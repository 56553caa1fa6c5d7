"""A scripted model server as a process of its own.

    python -m lmstream_sync.testing --reply "To get to the other side." --cut 4 --delay 0.02

Prints the address to give as `api_base`, and serves until Ctrl-C. `GET /_stats` and
`GET /_requests` tell what it has seen, `POST /_release` ends its stalls.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Sequence

from lmstream_sync.testing.reply import Reply
from lmstream_sync.testing.script import Replies, from_plain
from lmstream_sync.testing.server import ScriptedServer


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; with `--script -` until the standard input is closed."""
    parser = argparse.ArgumentParser(prog="python -m lmstream_sync.testing", description="A scripted model server.")
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1; 0 for a free one")
    parser.add_argument("--reply", action="append", default=[], help="what to say; several are said in turn")
    parser.add_argument("--cut", type=int, help="characters in a piece (a word)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between pieces (0)")
    parser.add_argument("--api-key", help="refuse every other key")
    parser.add_argument("--script", choices=["-"], help=argparse.SUPPRESS)  # one line of JSON on the standard input
    asked = parser.parse_args(arguments)
    replies: Replies
    if asked.script is not None:
        replies = from_plain(json.loads(sys.stdin.readline()))
    else:
        replies = [Reply(text, cut=asked.cut, delay=asked.delay) for text in asked.reply or ["Hello there."]]
    with ScriptedServer(replies, api_key=asked.api_key, port=asked.port) as server:
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            if asked.script is not None:
                sys.stdin.read()
            else:
                threading.Event().wait()


if __name__ == "__main__":
    main()
