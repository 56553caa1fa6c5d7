"""What a stream's reader has been given so far, field by field. Pure; no locks.

`TextAccounts` is written by the one thread that reads and may be looked at by any: what it
gives is built from lists that only grow, or are replaced whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Union

from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.signatures.values import text_of
from lmstream_sync.streaming.portion import Portion

__all__ = ["FieldKey", "Heard", "TextAccounts", "text_of_chunk"]

#: A predictor's name and a field of it.
FieldKey = tuple[str, str]

#: What those who listen to the accounts are told.
Heard = Union[StreamResponse, StreamRestart, Portion]  # noqa: UP007  # evaluated on Python 3.10 too


class _Text:
    """The text of one field in its last run."""

    __slots__ = ("closed", "pieces")

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.closed = False


#: The text of a field of which nothing came yet.
_NOTHING = _Text()


class TextAccounts:
    """Text handed out, per predictor and field.

    Args:
        listened: the fields that are known from the start; they show as `""` until then.
    """

    #: The queues of those who hear what is handed out; made for the first of them.
    _hearing: list[deque[Heard]] | None = None

    def __init__(self, listened: tuple[FieldKey, ...]) -> None:
        self._texts: dict[FieldKey, _Text] = {}
        self.listened = listened if len(listened) < 2 else tuple(dict.fromkeys(listened))

    def hear(self) -> deque[Heard]:
        """A queue that from now on gets each response, portion and restart that is handed out."""
        heard: deque[Heard] = deque()
        hearing: list[deque[Heard]] = vars(self).setdefault("_hearing", [])  # in any thread
        hearing.append(heard)
        return heard

    def add(self, response: StreamResponse) -> None:
        """A piece was handed out."""
        key = (response.predict_name, response.signature_field_name)
        text = self._texts.get(key)
        if text is None or text.closed:
            text = self._texts[key] = _Text()
        text.pieces.append(response.chunk)
        if response.is_last_chunk:
            text.closed = True
        if self._hearing is not None:
            for heard in self._hearing:
                heard.append(response)

    def add_portion(self, portion: Portion) -> None:
        """What a piece gave of a field that streams in items or values was handed out."""
        key = (portion.name, portion.field)
        text = self._texts.get(key)
        if text is None or text.closed:
            text = self._texts[key] = _Text()
        text.pieces.append(portion.text)
        text.closed = portion.closes
        for heard in self._hearing or ():
            heard.append(portion)

    def restart(self, restart: StreamRestart) -> None:
        """What was handed out of a field, or of every field of a predictor, is void."""
        for key in list(self._texts):
            if key[0] == restart.predict_name and restart.signature_field_name in (None, key[1]):
                self._texts[key] = _Text()
        for heard in self._hearing or ():
            heard.append(restart)

    def partial(self, whole: Callable[[str], str | None]) -> dict[str, str]:
        """Field → text of its last run so far; `predict_name.field` where two predictors have it.

        Args:
            whole: gives the text of a field that one predictor has and that did not come in
                pieces of text, where the reader got it all the same.
        """
        known = {**dict.fromkeys(self.listened, _NOTHING), **self._texts}
        texts = list(known.items())
        fields = [field for (_, field), _ in texts]
        found: dict[str, str] = {}
        for (predictor, field), text in texts:
            joined = "".join(map(text_of_chunk, text.pieces))
            if fields.count(field) > 1:
                found[f"{predictor}.{field}"] = joined
            elif text.pieces and all(isinstance(piece, str) for piece in text.pieces):
                found[field] = joined
            else:  # objects have no text of their own: that of the whole is better, once there is one
                found[field] = whole(field) or joined
        return found


def text_of_chunk(chunk: Any) -> str:
    """A chunk as text: objects of a field's own type as JSON."""
    if isinstance(chunk, str):
        return chunk
    return "" if chunk is None else text_of(chunk)
