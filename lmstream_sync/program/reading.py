"""Reads a model's reply with the adapter's reader, while it comes or all at once.

The same reader either way, so what streams and what comes back cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.reader import Reader
from lmstream_sync.lm.engine import Choice, Delta, Reply
from lmstream_sync.program.observing import RunObserver
from lmstream_sync.signatures import SignatureMeta

__all__ = ["ReaderTap", "read_at_once"]


class ReaderTap:
    """A tap that reads each choice of a reply as it comes, and shows the first to an observer.

    Args:
        adapter: makes the readers.
        signature: says the fields.
        observer: sees the pieces and the fields' deltas.
    """

    def __init__(self, adapter: Adapter, signature: SignatureMeta, observer: RunObserver) -> None:
        self._adapter = adapter
        self._signature = signature
        self._observer = observer
        self._readers: dict[int, Reader] = {}
        self._fields: dict[int, dict[str, str]] | None = None

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Pieces arrived. Those of other choices than the first are seen raw, without fields."""
        for delta in deltas:
            fields = self._reader(delta.index).feed(delta.content) if delta.content else []
            self._observer.saw(delta, fields if delta.index == 0 else [])
        await self._observer.flush()

    async def end(self, reply: Reply) -> None:
        """The reply ended well: hand out what the readers held back."""
        self._fields = {}
        for choice in reply.choices:
            finished = self._reader(choice.index).finish()
            self._fields[choice.index] = finished.fields
            if choice.index == 0:
                self._observer.saw(None, finished.deltas)
        await self._observer.flush()

    def fields(self, choice: Choice) -> dict[str, str] | None:
        """The texts of a choice's fields; `None` where the reply did not come this way (a cache hit)."""
        return self._fields.get(choice.index) if self._fields is not None else None

    def _reader(self, index: int) -> Reader:
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = self._adapter.reader(self._signature)
        return reader


def read_at_once(adapter: Adapter, signature: SignatureMeta, text: str) -> dict[str, str]:
    """The texts of the fields in a whole reply."""
    reader = adapter.reader(signature)
    reader.feed(text)
    return reader.finish().fields
