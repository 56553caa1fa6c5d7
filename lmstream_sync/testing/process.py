"""`ServerProcess`: the scripted server in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.testing.counts import Counts
from lmstream_sync.testing.observed import ObservedServer
from lmstream_sync.testing.reply import Request
from lmstream_sync.testing.script import Replies, to_plain

__all__ = ["ServerProcess"]

#: Seconds between two looks at the counters while waiting for them.
_LOOK = 0.01


class ServerProcess(ObservedServer):
    """A `ScriptedServer` that runs in another process, with the same counters.

    Needed under gevent and eventlet, whose patches reach every thread of their process, and
    in benchmarks, where the server must not take turns with what is measured. It ends with
    the process that started it.

        with ServerProcess(Reply("one two three", cut=4)) as server:
            lm = server.lm()

    Args:
        replies: as for `ScriptedServer`, but no function and no `Gate`.
        api_key: refuse every other key with 401.
        port: 0 for a free one.

    Raises:
        ConfigurationError: the script cannot be passed to another process.
    """

    def __init__(self, replies: Replies = "", *, api_key: str | None = None, port: int = 0) -> None:
        self._script = json.dumps(to_plain(replies))
        self._options = ["--port", str(port), *(["--api-key", api_key] if api_key is not None else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            OSError: it ended instead; it has written the reason to its standard error.
        """
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "lmstream_sync.testing", "--script", "-", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(self._script.encode() + b"\n")
        process.stdin.flush()  # and left open: the server ends when it is closed, so with this process
        url = process.stdout.readline().decode().strip()
        if not url:
            self.stop()
            raise OSError(f"the server process ended with code {process.returncode} before it listened")
        self._url = url

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def url(self) -> str:
        """The base address, for `api_base`: `http://127.0.0.1:PORT/v1`.

        Raises:
            ConfigurationError: the server was not started.
        """
        if self._url is None:
            raise ConfigurationError("the server has not started: use `with ServerProcess(...) as server:`")
        return self._url

    @property
    def counts(self) -> Counts:
        """All counters at one moment."""
        return Counts(**self._ask("GET", "/_stats"))

    @property
    def requests(self) -> list[Request]:
        """The completions asked for so far, in order."""
        return [Request(**each) for each in self._ask("GET", "/_requests")]

    def release(self) -> None:
        """Let every stalled reply go on, and those that would stall later."""
        self._ask("POST", "/_release")

    def _wait(self, condition: Callable[[Counts], bool], timeout: float) -> bool:
        until = time.monotonic() + timeout
        while not condition(self.counts):
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK)
        return True

    def _ask(self, method: str, path: str) -> Any:
        # Not `urlopen`, which would go through a proxy of the environment.
        connection = http.client.HTTPConnection(self.url.removeprefix("http://").removesuffix("/v1"), timeout=10)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            return json.load(connection.getresponse())
        finally:
            connection.close()
