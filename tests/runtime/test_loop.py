"""The event loop that all streams share."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from lmstream_sync.runtime.crossing import run
from lmstream_sync.runtime.loop import READ_SIZE


def test_a_socket_is_read_in_pieces_below_what_the_c_library_maps_anew_each_time() -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.sendall(b"x" * (2 * READ_SIZE + 1))  # all there before the first read
    theirs.close()
    reads: list[int] = []

    async def read() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        class Reader(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                reads.append(len(data))

            def connection_lost(self, error: Any) -> None:
                over.set_result(None)

        await loop.create_connection(Reader, sock=ours)
        await over

    run(read, instead="")
    assert reads == [READ_SIZE, READ_SIZE, 1]
