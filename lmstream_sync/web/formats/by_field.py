"""`FieldFormat`: events sorted into runs of fields, for formats that know text and not our events.

What all of them share is here: which event is text of which field, when a field's run ends,
what became void, and what has to be taken from the Prediction because nothing of it was
streamed (a cache hit; a field that streams in items or values).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Union

from lmstream_sync.events import ManyResult, MergedEvent, StatusMessage, StreamResponse, StreamRestart
from lmstream_sync.signatures import Prediction
from lmstream_sync.streaming.event_json import is_raw_chunk
from lmstream_sync.streaming.format import Format, Source

__all__ = ["FieldFormat", "Path", "Run"]

#: Names and indices that `merge` and `run_many` gave to what an event belongs to, outermost first; often none.
Path = tuple[Union[str, int], ...]  # noqa: UP007  # evaluated on Python 3.10 too

#: Where it came from, what made it (a predictor's name, the id of one whose raw chunks are shown, `""` for
#: strings), and the field.
_Key = tuple[Path, object, str]


@dataclass(eq=False)
class Run:
    """One run of one field, from its first chunk to its last.

    Attributes:
        number: no other run of this response has it.
        path: what `merge` and `run_many` call where it comes from.
        predictor: the predictor's name; empty where the text is no listened field's.
        field: the field; `text` or `reasoning` where the text is no field's.
        reasoning: whether it is how the model came to its answer, and not the answer.
        given: some of its text was handed to `_text`.
        objects: some of its items or values were written by `_object`.
        open: its last chunk has not come.
    """

    number: int
    path: Path
    predictor: str
    field: str
    reasoning: bool
    given: bool = False
    objects: bool = False
    open: bool = True


class FieldFormat(Format):
    """Events to text by way of runs; a format says how each of these is written.

    Args:
        field: show this field only (`answer`, or `predict_name.answer`), and as an answer
            whatever its name; `None` for all.

    Strings that a program yields, or gives back, count as text where nobody listens to fields and no
    field or raw chunk came before.
    """

    def __init__(self, field: str | None = None) -> None:
        self._field = field
        self._source: Source | None = None
        self._listened: frozenset[str] = frozenset()
        #: The last run of each key.
        self._runs: dict[_Key, Run] = {}
        self._numbers = itertools.count(1)
        self._any = False
        #: The last string of a program to whose fields somebody listens: its answer, where there is no other.
        self._string = ""

    # What a format writes.

    def _text(self, run: Run, text: str) -> str:
        """Text of a run, never none; `run.given` is false the first time."""
        return ""

    def _end(self, run: Run) -> str:
        """The end of a run of which text was given."""
        return ""

    def _object(self, run: Run, response: StreamResponse) -> str:
        """An item or a partial value; where this gives nothing, the field's text is taken from the Prediction."""
        return ""

    def _restart(self, restart: StreamRestart, void: list[Run], path: Path) -> str:
        """What was given of these runs is void; each has ended before this."""
        return ""

    def _status(self, status: StatusMessage, path: Path, expose: bool) -> str:
        """A status message."""
        return ""

    def _prediction(self, prediction: Prediction, path: Path) -> str:
        """A Prediction, whose text was given before this."""
        return ""

    def _own(self, value: Any, path: Path) -> str:
        """Anything else."""
        return ""

    def _error(self, error: BaseException, path: Path, expose: bool) -> str:
        """An error that does not end the stream, as `merge` and `run_many` give it."""
        return ""

    # What is shared.

    def begin(self, source: Source) -> str:
        """Nothing yet; a format that writes something calls this first."""
        self._source = source
        self._listened = frozenset(name.rpartition(".")[2] for name in source.partial)
        return ""

    def event(self, event: Any, *, expose: bool = False) -> str:
        """See `Format.event`."""
        return self._written(event, (), expose)

    def _written(self, event: Any, path: Path, expose: bool) -> str:
        if isinstance(event, StreamResponse):
            return self._response(event, path)
        if isinstance(event, MergedEvent):
            return self._written(event.event, (*path, event.name), expose)
        if isinstance(event, ManyResult):
            path = (*path, event.index)
            return self._written(event.result, path, expose) + self._over(path)
        if isinstance(event, StatusMessage):
            return self._status(event, path, expose)
        if isinstance(event, StreamRestart):
            return self._restarted(event, path)
        if isinstance(event, Prediction):
            missing = self._missing(event, path)
            return self._over(path) + self._whole(missing, path) + self._prediction(event, path)
        if isinstance(event, BaseException):
            return self._over(path) + self._error(event, path, expose)
        if is_raw_chunk(event):
            return self._raw(event, path)
        if isinstance(event, str):
            if self._is_text(path):
                return self._piece(self._run((path, "", "text"), "", False), event)
            self._string = "" if path else event
        return self._own(event, path)

    def _response(self, response: StreamResponse, path: Path) -> str:
        name, field, chunk = response.predict_name, response.signature_field_name, response.chunk
        key = (path, name, field)
        granularities = self._source.granularities if self._source is not None and not path else {}
        run = self._run(key, name, _is_reasoning(field, chunk))
        if chunk is None:
            written = ""
        elif (name, field) not in granularities and (isinstance(chunk, str) or _thinks(chunk)):
            written = self._piece(run, str(chunk))
        elif not self._concerns(run):
            written = ""
        elif written := self._object(run, response):
            run.objects = True
        return written + (self._ended(key) if response.is_last_chunk else "")

    def _raw(self, chunk: Any, path: Path) -> str:
        choice = next((each for each in chunk.choices or () if not getattr(each, "index", 0)), None)
        delta = getattr(choice, "delta", None)
        made_by = getattr(chunk, "predict_id", None)
        reasoning, text = (path, made_by, "reasoning"), (path, made_by, "text")
        written = ""
        if thought := getattr(delta, "reasoning_content", None):
            written += self._piece(self._run(reasoning, "", True), str(thought))
        if content := getattr(delta, "content", None):
            written += self._ended(reasoning)
            written += self._piece(self._run(text, "", False), str(content))
        if getattr(choice, "finish_reason", None):
            written += self._ended(reasoning) + self._ended(text)
        return written

    def _restarted(self, restart: StreamRestart, path: Path) -> str:
        void = [
            key
            for key, run in self._runs.items()
            if key[:2] == (path, restart.predict_name) and restart.signature_field_name in (None, run.field)
        ]
        ends = "".join(map(self._ended, void))
        runs = [self._runs.pop(key) for key in void]
        return ends + self._restart(restart, [run for run in runs if run.given], path)

    def _missing(self, prediction: Prediction, path: Path) -> list[tuple[str, str, bool]]:
        """Field, text and whether it is reasoning, of what should have been streamed and was not."""
        given = {run.field for key, run in self._runs.items() if key[0] == path and (run.given or run.objects)}
        fields = prediction.labels()
        if self._field is not None:
            names = [self._field.rpartition(".")[2]]
        elif self._listened and not path:
            names = [name for name, _ in fields.items() if name in self._listened]
        else:
            names = [] if given else [name for name, _ in fields.items()]
        return [
            (name, fields.raw(name), _is_reasoning(name, fields.get(name)))
            for name in names
            if name in fields and (name not in given or (not path and self._is_of_another(name, fields.raw(name))))
        ]

    def _is_of_another(self, field: str, text: str) -> bool:
        """Of two predictors with this field, whether one streamed and the text is that of the other, which did not."""
        partial = self._source.partial if self._source is not None else {}
        texts = [each for name, each in partial.items() if name.rpartition(".")[2] == field]
        return len(texts) > 1 and "" in texts and text not in texts

    def _whole(self, missing: list[tuple[str, str, bool]], path: Path) -> str:
        written = ""
        for field, text, reasoning in missing:
            run = self._new(path, "", field, reasoning)
            written += self._piece(run, text)
            run.open = False
            written += self._end(run) if run.given else ""
        return written

    def _run(self, key: _Key, predictor: str, reasoning: bool) -> Run:
        run = self._runs.get(key)
        if run is None or not run.open:
            run = self._runs[key] = self._new(key[0], predictor, key[2], reasoning)
        return run

    def _new(self, path: Path, predictor: str, field: str, reasoning: bool) -> Run:
        named = self._field is not None and field == self._field.rpartition(".")[2]
        return Run(next(self._numbers), path, predictor, field, reasoning and not named)

    def _piece(self, run: Run, text: str) -> str:
        if not text or not self._concerns(run):
            return ""
        written = self._text(run, text)
        run.given = self._any = True
        return written

    def _concerns(self, run: Run) -> bool:
        """Whether a run is shown at all."""
        if self._field is None:
            return True
        predictor, _, field = self._field.rpartition(".")
        return field == run.field and (not predictor or run.predictor in ("", predictor))

    def _is_text(self, path: Path) -> bool:
        """Whether a string there is text."""
        if self._listened and not path:
            return False
        return not any(run.given for key, run in self._runs.items() if key[0] == path and key[1] != "")

    def _ended(self, key: _Key) -> str:
        run = self._runs.get(key)
        if run is None or not run.open:
            return ""
        run.open = False
        return self._end(run) if run.given else ""

    def _over(self, path: Path) -> str:
        """What ran there is over: its runs end, and are forgotten."""
        keys = [key for key in self._runs if key[0] == path]
        written = "".join(map(self._ended, keys))
        for key in keys:
            del self._runs[key]
        return written

    def _all_over(self, failed: bool) -> str:
        """The stream is over: every run ends."""
        written = "".join(map(self._ended, list(self._runs)))
        if not failed and not self._any and self._string:
            written += self._whole([("text", self._string, False)], ())
        return written


def _is_reasoning(field: str, value: Any) -> bool:
    return field == "reasoning" or _thinks(value)


def _thinks(value: Any) -> bool:
    """Whether it is a `Reasoning`; asked of its class, so that the type need not be imported."""
    return getattr(type(value), "native_feature", None) == "reasoning"
