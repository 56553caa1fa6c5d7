"""What one call sees of its program's predictors, and sends to its reader.

One `CallObserver` a call. `begin` may come from any thread of the program; `saw` and
`flush` come on the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal

from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldRestart
from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.lm.engine import Delta, Reply
from lmstream_sync.program.observing import RunObserver
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.signatures import SignatureMeta, outputs_of
from lmstream_sync.streaming.listener import Bound
from lmstream_sync.streaming.partial_field import PartialField, partial_field
from lmstream_sync.streaming.portion import Sent
from lmstream_sync.streaming.status import StatusMessageProvider, StatusSender, kinds_told

__all__ = ["CallObserver", "Carried", "RawTap"]

# Held while it is decided which listeners see a run: all of them that see one run of a predictor
# only see the same. One for all calls, as it is held for a moment.
_deciding = ForkSafeLock()


class Carried:
    """A raw chunk on its way to the reader, and what the adapter's reader made of it.

    `event` is `None` where there is only the latter (the end of a reply).
    """

    __slots__ = ("event", "responses")

    def __init__(self, event: Any, responses: Sequence[StreamResponse | Sent]) -> None:
        self.event = event
        self.responses = responses


class CallObserver:
    """Decides which runs stream, and knows whether anything was caught.

    Args:
        call: where events go.
        bound: the listeners, bound to predictors.
        names: id of predictor → its name, for what is seen without a listener.
        everything: listen to each field of each predictor, also of unknown ones.
        provider: makes the status messages.
    """

    __slots__ = (
        "_begun",
        "_bound",
        "_call",
        "_everything",
        "_matched",
        "_met",
        "_names",
        "_provider",
        "_raw",
        "_sender",
        "caught",
        "hit_cache",
        "kinds",
    )

    def __init__(
        self,
        call: Call,
        bound: Sequence[Bound],
        names: dict[int, str],
        *,
        everything: bool = False,
        provider: StatusMessageProvider | Literal[False] = False,
    ) -> None:
        self._call = call
        self._provider = provider
        #: Of which kinds of calls the provider may say something: see `StreamCallbacks`.
        self.kinds = kinds_told(provider)
        # Made when a call of such a kind is: most streams never have one.
        self._sender: tuple[StatusSender] | None = None
        self._bound = bound
        self._names = names
        self._everything = everything
        self._raw = not bound and not everything
        # Listeners that were bound to no predictor → the one that they turned out to mean.
        self._matched: dict[Bound, Any] | None = None
        #: id → predictor, of those that had their first run; kept, so that no other gets the id.
        self._begun: dict[int, Any] = {}
        # The predictors met at run time, kept for the same reason.
        self._met: list[Any] | None = None
        self.caught = False
        self.hit_cache = False

    def begin(self, predictor: Any, signature: SignatureMeta) -> RunObserver | None:
        """A predictor begins a run; `None` when nobody listens to it.

        Raises:
            ListenerError: a field's type, known only now, has nothing of the granularity asked for.
        """
        fields = outputs_of(signature)
        if self._raw:
            return _Run(self, self._call, self._everything_of(predictor, fields), predictor)
        if self._everything:
            return _Run(self, self._call, self._everything_of(predictor, fields), None)
        listeners = self._listeners(predictor, fields)
        if not listeners:
            return None
        names: dict[str, str] = {}
        partial: dict[str, PartialField] | None = None
        first_of = None
        for each in listeners:
            names[each.field] = each.name
            if not each.allow_reuse:
                first_of = predictor
            if each.granularity != "text":
                each.check(fields[each.field])
                partial = {} if partial is None else partial
                partial[each.field] = partial_field(each.granularity, each.name, fields[each.field])
        run = _Run(self, self._call, names, None, partial)
        run.first_of = first_of
        return run

    def callbacks(self) -> Sequence[StatusSender]:
        """See `StreamCallbacks`."""
        if self._sender is None:
            assert self._provider is not False
            self._sender = (StatusSender(self._provider, self._call),)
        return self._sender

    def not_begun(self, predictor: Any) -> None:
        """The first run of a predictor failed with nothing shown: the next is its first."""
        with _deciding:
            self._begun.pop(id(predictor), None)

    def _listeners(self, predictor: Any, fields: Mapping[str, Any]) -> list[Bound]:
        """Those that see this run."""
        seeing: list[Bound] = []
        with _deciding:
            first = id(predictor) not in self._begun
            for each in self._bound:
                if each.field in fields and self._means(each, predictor):
                    if not each.allow_reuse:
                        self._begun[id(predictor)] = predictor
                    if first or each.allow_reuse:
                        seeing.append(each)
        return seeing

    def _everything_of(self, predictor: Any, output_fields: Iterable[str]) -> dict[str, str]:
        name = self._names.get(id(predictor))
        if name is None:
            with _deciding:
                if self._met is None:
                    self._met = []
                self._met.append(predictor)
                number = sum(1 for known in self._names.values() if known == "self" or known.startswith("self["))
                name = self._names.setdefault(id(predictor), f"self[{number}]" if number else "self")
        return dict.fromkeys(output_fields, name)

    def _means(self, bound: Bound, predictor: Any) -> bool:
        if bound.predictor is not None:
            return bound.predictor is predictor
        if self._matched is None:
            self._matched = {}
        return self._matched.setdefault(bound, predictor) is predictor


class _Run:
    """One run of one predictor that somebody listens to.

    Args:
        observer: the call's.
        call: where events go.
        names: listened field → the predictor's name in its events.
        raw_of: the predictor, where raw chunks are shown.
        partial: the fields that do not stream as text, where there are any.
    """

    def __init__(
        self,
        observer: CallObserver,
        call: Call,
        names: dict[str, str],
        raw_of: Any,
        partial: Mapping[str, PartialField] | None = None,
    ) -> None:
        self._observer = observer
        self._call = call
        self.wants_raw = raw_of is not None
        self._names = names
        self._raw_of = raw_of
        self._partial = partial
        self._events: list[Any] | None = None
        #: Something of this attempt was shown.
        self._shown = False
        #: Why what was shown of the attempt before is void, where that has yet to be said.
        self._void = ""
        #: Something of any attempt was.
        self._ever_shown = False
        #: The predictor, where this is its first run and a listener wants no other.
        self.first_of: Any = None

    def saw(self, delta: Delta | None, fields: Sequence[FieldEvent]) -> None:
        """One piece of the first choice came, and what the reader made of it."""
        names, partial = self._names, self._partial
        responses: list[StreamResponse | Sent] = []
        for each in fields:
            name = names.get(each[0])
            if name is None:
                continue
            if type(each) is FieldDelta and partial is None:
                responses.append(StreamResponse(name, *each))
            else:
                responses += self._of(name, each)
        raw = delta.raw if delta is not None and self._raw_of is not None else None
        if self._void and (responses or raw is not None):
            self._say_void()
        if responses:
            self._observer.caught = self._shown = self._ever_shown = True
        if self._raw_of is None:
            if self._events is None:
                self._events = responses
            else:
                self._events += responses
            return
        if raw is not None:
            self._shown = True
            self._show([Carried(_with_predict_id(raw, id(self._raw_of)), responses)])
        elif responses:
            self._show([Carried(None, responses)])

    def _of(self, name: str, event: FieldEvent) -> Sequence[StreamResponse | Sent]:
        """What an event gives that is not simply text."""
        partial = self._partial.get(event.field) if self._partial is not None else None
        if isinstance(event, FieldDelta):
            return [StreamResponse(name, *event)] if partial is None else partial.take(event.text, event.last)
        if isinstance(event, FieldRestart):
            told = StreamRestart(name, event.field, event.reason)
            return [told] if partial is None else partial.begin_again(event.reason)
        if partial is None:
            return [StreamResponse(name, *event)]
        return partial.show(event.value, event.last)

    def restart(self, reason: str) -> None:
        """The same run asks once more: what was shown of it is void as soon as there is something else."""
        for partial in (self._partial or {}).values():
            partial.begin_again(reason)
        if self._shown:
            self._shown, self._void = False, reason

    def _say_void(self) -> None:
        reason, self._void = self._void, ""
        self._show([StreamRestart(name, None, reason) for name in dict.fromkeys(self._names.values())])

    def _show(self, events: list[Any]) -> None:
        if self._events is None:
            self._events = events
        else:
            self._events += events

    def flush(self) -> Awaitable[None] | None:
        """Send what was seen; gives what is to be awaited where the reader is slow."""
        events = self._events
        if not events:
            return None
        self._events = None
        return self._call.send(events, touched=True)  # by the request that they came of

    def failed(self) -> None:
        """The run ended without an answer."""
        if self.first_of is not None and not self._ever_shown:
            self._observer.not_begun(self.first_of)

    def cache_hit(self) -> None:
        """There are no pieces."""
        self._observer.hit_cache = True
        if self._void:
            self._say_void()


class RawTap:
    """Shows the chunks of a model that a program calls directly."""

    wants_raw = True

    def __init__(self, call: Call) -> None:
        self._call = call

    def feed(self, deltas: Sequence[Delta]) -> Awaitable[None] | None:
        """Pieces arrived."""
        chunks = [Carried(_with_predict_id(each.raw, None), ()) for each in deltas if each.raw is not None]
        return self._call.send(chunks) if chunks else None

    async def end(self, reply: Reply) -> None:
        """The reply ended well."""


def _with_predict_id(chunk: Any, predict_id: int | None) -> Any:
    """The chunk with `predict_id` on it, as DSPy's users know it."""
    try:
        chunk.predict_id = predict_id
    except (AttributeError, ValueError, TypeError):
        return chunk  # a stand-in of the user's that takes no attributes
    return chunk
