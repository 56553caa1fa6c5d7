"""The loopback server of the benchmarks, in a process of its own: prints its URL, serves until killed."""

from __future__ import annotations

import sys
import threading

from lmstream_sync.testing import Reply, ScriptedServer


def main() -> None:
    """Serve replies of `argv[1]` pieces, `argv[2]` seconds apart."""
    chunks, delay = int(sys.argv[1]), float(sys.argv[2])
    # Cut as models cut. No two pieces in a row are equal: litellm ends such a reply after a hundred.
    words = [f" word{i % 7}" for i in range(chunks - 10)]
    pieces = ["[[", " ##", " answer", " ##", " ]]\n\n", "The", *words, "\n\n[[ ##", " completed", " ##", " ]]"]
    with ScriptedServer(Reply(pieces=pieces, delay=delay)) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
