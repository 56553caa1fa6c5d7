"""What a test sees of a scripted server, whether it runs in a thread or in another process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lmstream_sync.testing.counts import Counts
from lmstream_sync.testing.reply import Request

if TYPE_CHECKING:
    from typing_extensions import Self

    from lmstream_sync.lm import LM

__all__ = ["ObservedServer"]


class ObservedServer(ABC):
    """The counters of a server, and the waits for them."""

    @abstractmethod
    def start(self) -> None:
        """Serve; returns when it listens."""

    @abstractmethod
    def stop(self) -> None:
        """Serve no more."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    @abstractmethod
    def url(self) -> str:
        """The base address, for `api_base`: `http://127.0.0.1:PORT/v1`."""

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """All counters at one moment."""

    @property
    @abstractmethod
    def requests(self) -> list[Request]:
        """The completions asked for so far, in order."""

    @abstractmethod
    def release(self) -> None:
        """Let every stalled reply go on, and those that would stall later."""

    @abstractmethod
    def _wait(self, condition: Callable[[Counts], bool], timeout: float) -> bool: ...

    def lm(self, **options: Any) -> LM:
        """An LM that asks this server: `LM("openai/scripted", api_base=..., cache=False)`.

        Args:
            **options: further or other arguments of `LM`.
        """
        # Here, because a server that is asked by something else needs no LM.
        from lmstream_sync.lm import LM

        return LM(**{"model": "openai/scripted", "api_base": self.url, "api_key": "sk-test", "cache": False, **options})

    @property
    def request_count(self) -> int:
        """Completions asked for so far."""
        return self.counts.requests

    @property
    def pieces_sent(self) -> int:
        """Pieces of streamed replies sent so far."""
        return self.counts.pieces_sent

    @property
    def tokens_sent(self) -> int:
        """The same, and the pieces of replies that went out whole."""
        return self.counts.tokens_sent

    @property
    def readers_left(self) -> int:
        """Readers that went away before the text of their reply was out."""
        return self.counts.readers_left

    @property
    def open_streams(self) -> int:
        """Replies under way now."""
        return self.counts.open_streams

    @property
    def open_connections(self) -> int:
        """TCP connections open now, idle ones too."""
        return self.counts.open_connections

    def wait_until(self, condition: Callable[[Counts], bool], timeout: float = 5.0) -> Counts:
        """Wait until the counters are as `condition` says, and give them.

        Args:
            condition: `lambda counts: counts.open_connections == 0`.
            timeout: seconds.

        Raises:
            TimeoutError: they were not; the message has the counters.
        """
        if not self._wait(condition, timeout):
            raise TimeoutError(
                f"what was waited for did not come within {timeout:g} s; the server counts {self.counts}"
            )
        return self.counts

    def wait_for_request(self, n: int = 1, timeout: float = 5.0) -> Request:
        """Wait until `n` completions were asked for; gives the `n`-th.

        Raises:
            TimeoutError: they were not, in `timeout` seconds.
        """
        self.wait_until(lambda counts: counts.requests >= n, timeout)
        return self.requests[n - 1]

    def wait_for_reader_left(self, n: int = 1, timeout: float = 5.0) -> None:
        """Wait until `n` readers went away before the text of their reply was out.

        Raises:
            TimeoutError: they did not, in `timeout` seconds.
        """
        self.wait_until(lambda counts: counts.readers_left >= n, timeout)

    def wait_for_stall(self, n: int = 1, timeout: float = 5.0) -> None:
        """Wait until `n` replies stand in a stall at once.

        Raises:
            TimeoutError: they do not, in `timeout` seconds.
        """
        self.wait_until(lambda counts: counts.stalled >= n, timeout)

    def wait_until_idle(self, timeout: float = 5.0) -> None:
        """Wait until no reply is under way.

        Raises:
            TimeoutError: one still is, after `timeout` seconds.
        """
        self.wait_until(lambda counts: counts.open_streams == 0, timeout)
