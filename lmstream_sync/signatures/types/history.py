"""`History`: the turns of a conversation so far, as an input."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import pydantic

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.types.sourced import Sourced

__all__ = ["History"]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class History(Sourced):
    """The turns of a conversation so far, as an input; the prompt shows them as turns, not as text.

        history = lms.History()
        reply = chat(question=question, history=history)
        history.add(question=question, answer=reply.answer)
        session["history"] = history.to_json()          # and lms.History.from_json(...) next time

    A turn is a dict of the signature's fields (`{"question": ..., "answer": ...}`) or a message
    with `role` and `content`; both may stand in one history.

    Args:
        messages: the turns, in order.

    Attributes:
        messages: the same, in a list of its own.

    Raises:
        SignatureError: a turn is no dict, is empty, or has a role that is none.
    """

    model_config = pydantic.ConfigDict(extra="forbid")
    input_only: ClassVar[bool] = True
    native_feature: ClassVar[str | None] = "history"

    messages: list[dict[str, Any]] = pydantic.Field(default_factory=list)

    def __init__(self, messages: Any = None, /, **fields: Any) -> None:
        super().__init__(messages, **fields)

    @staticmethod
    def is_message(turn: Mapping[str, Any]) -> bool:
        """Whether a turn is a message with role and content, and no dict of fields."""
        return turn.get("role") in _ROLES and ("content" in turn or "tool_calls" in turn)

    def add(self, turn: Mapping[str, Any] | None = None, /, **fields: Any) -> History:
        """Put a turn at the end, in place, and give back this history.

            history.add(question="Why?", answer="Because.")
            history.add(prediction, question="Why?")            # the fields of a Prediction
            history.add(role="user", content="Why?")

        Raises:
            SignatureError: there is nothing to add, or the role is none.
        """
        if turn is not None and not hasattr(turn, "keys"):
            raise SignatureError(
                f"History.add({turn!r:.60}): give the turn's fields by name, add(question=..., answer=...)"
            )
        given = {**({name: turn[name] for name in turn} if turn is not None else {}), **fields}
        self.messages.extend(History([given]).messages)
        return self

    def last(self, n: int) -> History:
        """The last `n` turns, as a new history.

        A dict of fields is a turn; of messages, a user's with all that follows it up to the
        next. System messages at the beginning stay, as they belong to every turn.

        Raises:
            SignatureError: `n` is below 0.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise SignatureError(f"History.last({n!r}): a number of turns is a whole number, 0 or more")
        head = 0
        while head < len(self.messages) and self.messages[head].get("role") in ("system", "developer"):
            head += 1
        begins = [at for at in range(head, len(self.messages)) if at == head or self._begins_turn(at)]
        begin = begins[-n] if 0 < n <= len(begins) else (len(self.messages) if n == 0 else head)
        return History([*self.messages[:head], *self.messages[begin:]])

    def to_json(self) -> str:
        """The history as JSON text, `{"messages": [...]}`; values that JSON lacks as their text."""
        return json.dumps({"messages": jsonable(self.messages)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> History:
        """The history that `to_json` wrote; a bare JSON list of turns does too.

        Raises:
            SignatureError: it is no JSON, or no history.
        """
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            problem = str(error)
        else:
            if not isinstance(given, dict):
                return cls(given)
            if given.keys() == {"messages"}:
                return cls(given["messages"])
            problem = f"it needs 'messages' and nothing else; it has {', '.join(given) or 'nothing'}"
        raise SignatureError(f"History.from_json: this is no history: {problem}")

    @classmethod
    def description(cls) -> str:
        """What a prompt says of the type."""
        return "the turns of the conversation so far"

    def _begins_turn(self, at: int) -> bool:
        turn, before = self.messages[at], self.messages[at - 1]
        if not self.is_message(turn):
            return True
        # Several messages of a user in a row are one turn, and so are dicts of fields never.
        return turn["role"] == "user" and not (self.is_message(before) and before["role"] == "user")

    @classmethod
    def _fields_of(cls, source: Any) -> dict[str, Any]:
        return {"messages": source}

    @pydantic.field_validator("messages", mode="before")
    @classmethod
    def _turns(cls, given: Any) -> list[dict[str, Any]]:
        if isinstance(given, History):
            given = given.messages
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise ValueError(f"the messages are a list of dicts, not a {type(given).__name__}")
        return [_checked(number, turn) for number, turn in enumerate(given)]

    # A conversation is a sequence of its turns.

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # pydantic's gives the model's fields
        return iter(self.messages)

    def __getitem__(self, at: int) -> dict[str, Any]:
        return self.messages[at]


def _checked(number: int, turn: Any) -> dict[str, Any]:
    """One turn, copied."""
    if not isinstance(turn, Mapping) and not (hasattr(turn, "keys") and hasattr(turn, "__getitem__")):
        raise ValueError(f"turn {number} is a {type(turn).__name__}, not a dict of fields or with role and content")
    made = {name: turn[name] for name in turn.keys()}  # noqa: SIM118  # a record's names, too
    if not made:
        raise ValueError(f"turn {number} is empty")
    if not all(isinstance(name, str) for name in made):
        raise ValueError(f"turn {number} has names that are no strings: {', '.join(map(repr, made))}")
    if made.keys() == {"role"}:
        raise ValueError(f"turn {number} has a role and no content")
    if made.keys() == {"role", "content"} and made["role"] not in _ROLES:
        raise ValueError(f"turn {number} has the role {made['role']!r}; the roles are {', '.join(_ROLES)}")
    return made
