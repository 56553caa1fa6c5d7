"""What one call sees of its program's predictors, and sends to its reader.

One `CallObserver` a call. `begin` may come from any thread of the program; `saw` and
`flush` come on the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.adapters.reader import FieldDelta
from lmstream_sync.events import StreamResponse
from lmstream_sync.lm.engine import Delta, Reply
from lmstream_sync.program.observing import RunObserver
from lmstream_sync.runtime.call import Call
from lmstream_sync.streaming.listener import Bound

__all__ = ["CallObserver", "Carried", "RawTap"]


class Carried:
    """A raw chunk on its way to the reader, and what the adapter's reader made of it.

    `event` is `None` where there is only the latter (the end of a reply).
    """

    __slots__ = ("event", "responses")

    def __init__(self, event: Any, responses: Sequence[StreamResponse]) -> None:
        self.event = event
        self.responses = responses


class CallObserver:
    """Decides which runs stream, and knows whether anything was caught.

    Args:
        call: where events go.
        bound: the listeners, bound to predictors.
        names: id of predictor → its name, for what is seen without a listener.
        everything: listen to each field of each predictor, also of unknown ones.
    """

    def __init__(self, call: Call, bound: Sequence[Bound], names: dict[int, str], *, everything: bool = False) -> None:
        self._call = call
        self._bound = bound
        self._names = names
        self._everything = everything
        self._raw = not bound and not everything
        # One token for each listener that streams one run only: taking it is one step for
        # the interpreter, so two threads cannot both have it.
        self._tokens: dict[Bound, list[None]] = {each: [None] for each in bound if not each.allow_reuse}
        # The predictors met at run time, kept so that no other can get the id of one.
        self._matched: dict[Bound, Any] = {}
        self._met: list[Any] = []
        self.caught = False
        self.hit_cache = False

    def begin(self, predictor: Any, output_fields: Sequence[str]) -> RunObserver | None:
        """A predictor begins a run; `None` when nobody listens to it."""
        if self._raw:
            return _Run(self, self._call, self._everything_of(predictor, output_fields), predictor)
        if self._everything:
            return _Run(self, self._call, self._everything_of(predictor, output_fields), None)
        listened = {
            each.field: each.name
            for each in self._bound
            if each.field in output_fields and self._means(each, predictor) and self._may_stream(each)
        }
        return _Run(self, self._call, listened, None) if listened else None

    def _everything_of(self, predictor: Any, output_fields: Sequence[str]) -> dict[str, str]:
        name = self._names.get(id(predictor))
        if name is None:
            self._met.append(predictor)
            number = sum(1 for known in self._names.values() if known == "self" or known.startswith("self["))
            name = self._names.setdefault(id(predictor), f"self[{number}]" if number else "self")
        return dict.fromkeys(output_fields, name)

    def _means(self, bound: Bound, predictor: Any) -> bool:
        if bound.predictor is not None:
            return bound.predictor is predictor
        return self._matched.setdefault(bound, predictor) is predictor

    def _may_stream(self, bound: Bound) -> bool:
        token = self._tokens.get(bound)
        if token is None:
            return True
        try:
            token.pop()
        except IndexError:
            return False
        return True


class _Run:
    """One run of one predictor that somebody listens to."""

    def __init__(self, observer: CallObserver, call: Call, names: dict[str, str], raw_of: Any) -> None:
        self._observer = observer
        self._call = call
        self._names = names
        self._raw_of = raw_of
        self._events: list[Any] = []

    def saw(self, delta: Delta | None, fields: Sequence[FieldDelta]) -> None:
        """One piece of the first choice came, and what the reader made of it."""
        names = self._names
        responses = [StreamResponse(names[field], field, text, last) for field, text, last in fields if field in names]
        if responses:
            self._observer.caught = True
        if self._raw_of is None:
            self._events += responses
            return
        raw = delta.raw if delta is not None else None
        if raw is not None:
            self._events.append(Carried(_with_predict_id(raw, id(self._raw_of)), responses))
        elif responses:
            self._events.append(Carried(None, responses))

    async def flush(self) -> None:
        """Send what was seen; waits while the reader is slow."""
        if self._events:
            events, self._events = self._events, []
            await self._call.put(events)

    def cache_hit(self) -> None:
        """There are no pieces."""
        self._observer.hit_cache = True


class RawTap:
    """Shows the chunks of a model that a program calls directly."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Pieces arrived."""
        chunks = [Carried(_with_predict_id(each.raw, None), ()) for each in deltas if each.raw is not None]
        if chunks:
            await self._call.put(chunks)

    async def end(self, reply: Reply) -> None:
        """The reply ended well."""


def _with_predict_id(chunk: Any, predict_id: int | None) -> Any:
    """The chunk with `predict_id` on it, as DSPy's users know it."""
    try:
        chunk.predict_id = predict_id
    except (AttributeError, ValueError, TypeError):
        return chunk  # a stand-in of the user's that takes no attributes
    return chunk
