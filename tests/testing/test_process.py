"""The same server in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lmstream_sync
from lmstream_sync import errors
from lmstream_sync.testing import Gate, Reply, ServerProcess

from .client import Client, ask, deltas, stream

ROOT = Path(lmstream_sync.__file__).resolve().parent.parent


def test_it_says_and_counts_the_same() -> None:
    script: dict[str, str | Reply] = {
        "chicken": "side",
        "": Reply(pieces=["on", "e"], pauses={1: 0.001}, stall_after=1),
    }
    with ServerProcess(script, api_key="sk") as server:
        key = {"Authorization": "Bearer sk"}
        with Client(server, headers=key, messages=[{"role": "user", "content": "the chicken"}]) as client:
            assert client.json()["choices"][0]["message"]["content"] == "side"
        with Client(server, headers=key, stream=True):
            server.wait_for_stall()
            assert server.open_streams == 1
        server.wait_for_reader_left()
        server.release()
        with Client(server, headers=key) as client:
            assert client.json()["choices"][0]["message"]["content"] == "one"
        with Client(server) as client:
            assert client.response.status == 401
        assert server.wait_for_request().prompt == "the chicken"
        assert [request.stream for request in server.requests] == [False, True, False, False]
        with pytest.raises(TimeoutError):
            server.wait_for_request(9, timeout=0.05)


def test_lists_and_raw_bytes_pass_too() -> None:
    with ServerProcess(["one", Reply(raw=[b"\xff\x00"])]) as server:
        assert deltas(stream(server)) == ["one"]
        with Client(server) as client:
            assert client.read() == b"\xff\x00"


def test_what_stays_in_its_process_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="function"):
        ServerProcess(lambda body: "one")
    with pytest.raises(errors.ConfigurationError, match="Gate"):
        ServerProcess(["one", Reply(pauses={0: Gate()})])
    with pytest.raises(errors.ConfigurationError, match="not started"):
        _ = ServerProcess("one").url


def test_it_is_gone_after_the_block() -> None:
    with ServerProcess("one") as server:
        ask(server)
    with pytest.raises(OSError):
        ask(server)


def test_a_port_that_is_taken_is_said() -> None:
    with ServerProcess("one") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="before it listened"):
            ServerProcess("two", port=port).start()


def test_it_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os\nfrom lmstream_sync.testing import ServerProcess\n"
        "server = ServerProcess('one')\nserver.start()\n"
        "print(server.url, flush=True)\nos._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, cwd=ROOT)
    # `run` has waited for the end of the standard error, which the server has inherited.
    server = ServerProcess()
    server._url = done.stdout.strip()
    with pytest.raises(ConnectionRefusedError):
        ask(server)


def test_the_command_prints_its_address_and_serves() -> None:
    command = [sys.executable, "-m", "lmstream_sync.testing", "--reply", "abcd", "--reply", "efgh", "--cut", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            server = ServerProcess()
            server._url = process.stdout.readline().strip()
            assert deltas(stream(server)) == ["ab", "cd"]
            assert deltas(stream(server)) == ["ef", "gh"]
            assert json.loads(json.dumps(server.requests[0].body))["stream"] is True
        finally:
            process.terminate()
