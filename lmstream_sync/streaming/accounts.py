"""What a stream's reader has been given so far, field by field. Pure; no locks.

`TextAccounts` is written by the one thread that reads and may be looked at by any: what it
gives is built from lists that only grow, or are replaced whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from lmstream_sync.events import StreamResponse, StreamRestart

__all__ = ["FieldKey", "TextAccounts"]

#: A predictor's name and a field of it.
FieldKey = tuple[str, str]


class _Text:
    """The text of one field in its last run."""

    __slots__ = ("closed", "pieces")

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.closed = False


class TextAccounts:
    """Text handed out, per predictor and field.

    Args:
        listened: the fields that are known from the start; they show as `""` until then.
    """

    def __init__(self, listened: Iterable[FieldKey]) -> None:
        self.listened = tuple(dict.fromkeys(listened))
        self._texts: dict[FieldKey, _Text] = {key: _Text() for key in self.listened}
        self._hearing: list[deque[StreamResponse | StreamRestart]] = []

    def hear(self) -> deque[StreamResponse | StreamRestart]:
        """A queue that from now on gets each response and restart that is handed out."""
        heard: deque[StreamResponse | StreamRestart] = deque()
        self._hearing.append(heard)
        return heard

    def add(self, response: StreamResponse) -> None:
        """A piece was handed out."""
        key = (response.predict_name, response.signature_field_name)
        text = self._texts.get(key)
        if text is None or text.closed:
            text = self._texts[key] = _Text()
        text.pieces.append(response.chunk)
        text.closed = response.is_last_chunk
        for heard in self._hearing:
            heard.append(response)

    def restart(self, restart: StreamRestart) -> None:
        """What was handed out of a field, or of every field of a predictor, is void."""
        for key in list(self._texts):
            if key[0] == restart.predict_name and restart.signature_field_name in (None, key[1]):
                self._texts[key] = _Text()
        for heard in self._hearing:
            heard.append(restart)

    def partial(self, whole: Callable[[str], str | None]) -> dict[str, str]:
        """Field → text of its last run so far; `predict_name.field` where two predictors have it.

        Args:
            whole: gives the text of a field that one predictor has and that did not come in
                pieces, where the reader got it all the same.
        """
        texts = list(self._texts.items())
        fields = [field for (_, field), _ in texts]
        found: dict[str, str] = {}
        for (predictor, field), text in texts:
            joined = "".join(map(str, text.pieces))
            if fields.count(field) > 1:
                found[f"{predictor}.{field}"] = joined
            else:
                found[field] = joined if text.pieces else whole(field) or ""
        return found
