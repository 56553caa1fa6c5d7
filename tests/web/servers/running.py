"""`RunningServer`: a server under test in a process of its own, and what the system tells of its workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["LOOK", "SOON", "RunningServer", "open_sockets", "threads_of", "wait_until_gone"]

ROOT = Path(__file__).resolve().parents[3]

#: Seconds that a test waits for what should come at once; only a failing test waits so long.
SOON = 15.0

#: Seconds between two looks at what tells nobody that it changed.
LOOK = 0.01


class RunningServer:
    """A server process, its address and what it has written.

    It leads a process group of its own, so that `stop` ends its workers too.

    Args:
        command: the program and its arguments.
        environment: added to this process's own.
        listening: finds the address in what it writes: one group, the port on 127.0.0.1.
        folder: where it runs.

    Raises:
        AssertionError: it ended, or said nothing of its address in time; the message has what it wrote.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], listening: str, folder: Path = ROOT
    ) -> None:
        self._changed = threading.Condition()  # guards the two below
        self._lines: list[str] = []
        self._over = False
        # gunicorn keeps a socket for its own use in the user's folder, one for all.
        self._folder = tempfile.TemporaryDirectory(prefix="lmstream-server-", ignore_cleanup_errors=True)
        own = {"PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": self._folder.name}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, **own, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for_line(listening).group(1)) if listening else 0
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.decode(errors="replace").rstrip())
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """All that it has written."""
        with self._changed:
            return "\n".join(self._lines)

    @property
    def said(self) -> int:
        """How many lines it has written: where to look on from."""
        with self._changed:
            return len(self._lines)

    def wait_for_line(self, pattern: str, after: int = 0, seconds: float = SOON) -> re.Match[str]:
        """Wait until it wrote a line with this in it, not among the first `after` lines."""
        until = time.monotonic() + seconds
        with self._changed:
            at = after
            while True:
                for line in self._lines[at:]:
                    if found := re.search(pattern, line):
                        return found
                at = max(at, len(self._lines))
                remaining = until - time.monotonic()
                assert not self._over and remaining > 0, (
                    f"the server {'ended' if self._over else 'ran on'} and did not write {pattern!r}, but:\n"
                    + "\n".join(self._lines)
                )
                self._changed.wait(remaining)

    @property
    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started, its workers' master."""
        self.process.send_signal(number)

    def wait(self, seconds: float = SOON) -> int:
        """Wait until it ended; gives its code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end; it wrote:\n{self.output}") from None

    def stop(self) -> None:
        """Kill it and its workers, and wait until they are gone."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join(SOON)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._folder.cleanup()


def open_sockets(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(descriptor).startswith("socket:")
        except FileNotFoundError:  # closed since
            pass
    return count


def threads_of(pid: int) -> int:
    """How many threads of the system's a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def wait_until_gone(pid: int, seconds: float = SOON) -> None:
    """Wait until a process of somebody else's has ended."""
    until = time.monotonic() + seconds
    while Path(f"/proc/{pid}/fd").exists() and _state(pid) != "Z":
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(LOOK)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
