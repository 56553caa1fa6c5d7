"""Which reply comes when: a script, and the script as JSON for a server in another process."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.testing.gate import Gate
from lmstream_sync.testing.reply import Reply, Request

__all__ = ["Replies", "Script", "from_plain", "to_plain"]

OneReply: TypeAlias = str | Reply
Replies: TypeAlias = OneReply | Sequence[OneReply] | Mapping[str, OneReply] | Callable[[dict[str, Any]], OneReply]


class Script:
    """Chooses the reply to each request.

    Args:
        replies: one reply for every request; a list, given in order, of which the last
            repeats; a dict, of which the first key that stands in the last user message
            decides (`""` stands in every one); or a function of the request's body.
    """

    def __init__(self, replies: Replies) -> None:
        if not isinstance(replies, (str, Reply, Mapping, Sequence)) and not callable(replies):
            raise ConfigurationError(
                f"{replies!r} is no script: give a reply, a list or a dict of replies, or a function of the request"
            )
        self._replies = replies
        self._served = 0
        self._lock = threading.Lock()  # two servers' threads may share a script; guards `_served`

    @property
    def speaks_for_others(self) -> bool:
        """Whether it may hold what only another provider says: raw bytes, or a refusal of its own."""
        if callable(self._replies):
            return True
        if isinstance(self._replies, (str, Reply)):
            each: Iterable[Any] = (self._replies,)
        else:
            each = self._replies.values() if isinstance(self._replies, Mapping) else self._replies
        return any(isinstance(reply, Reply) and (reply.raw is not None or reply.status != 200) for reply in each)

    def reply_to(self, request: Request) -> Reply:
        """The reply to a request; to one that the script does not foresee, a refusal that says so."""
        try:
            return self._chosen(request)
        except Exception as error:
            return _refusal(f"the scripted reply failed: {type(error).__name__}: {error}")

    def _chosen(self, request: Request) -> Reply:
        replies = self._replies
        if isinstance(replies, (str, Reply)):
            return as_reply(replies)
        if isinstance(replies, Mapping):
            prompt = request.prompt
            for part, reply in replies.items():
                if part in prompt:
                    return as_reply(reply)
            return _refusal(f"no scripted reply fits the prompt {prompt[:200]!r}")
        if callable(replies):
            return as_reply(replies(request.body))
        if not replies:
            return _refusal("no reply was scripted")
        with self._lock:
            at = min(self._served, len(replies) - 1)
            self._served += 1
        return as_reply(replies[at])


def as_reply(reply: Any) -> Reply:
    """A reply of what a script gave.

    Raises:
        ConfigurationError: it is neither text nor a `Reply`.
    """
    if isinstance(reply, Reply):
        return reply
    if isinstance(reply, str):
        return Reply(reply)
    raise ConfigurationError(f"a reply is a string or a Reply, not {reply!r:.200}")


def _refusal(message: str) -> Reply:
    # 400: nobody tries again.
    return Reply(
        status=400, body={"error": {"message": message, "type": "scripted_server", "param": None, "code": None}}
    )


def to_plain(replies: Replies) -> Any:
    """A script as values that JSON has.

    Raises:
        ConfigurationError: it has a function or a `Gate` in it, which stay in their process.
    """
    if isinstance(replies, str):
        return replies
    if isinstance(replies, Reply):
        return {"reply": _plain_reply(replies)}
    if isinstance(replies, Mapping):
        return {"by_prompt": {part: to_plain(reply) for part, reply in replies.items()}}
    if callable(replies):
        raise ConfigurationError("a function cannot script a server in another process: give replies, a list or a dict")
    return [to_plain(reply) for reply in replies]


def from_plain(plain: Any) -> Any:
    """The script that `to_plain` wrote."""
    if isinstance(plain, str):
        return plain
    if isinstance(plain, list):
        return [from_plain(each) for each in plain]
    if "by_prompt" in plain:
        return {part: from_plain(each) for part, each in plain["by_prompt"].items()}
    fields = dict(plain["reply"])
    if fields.get("raw") is not None:
        fields["raw"] = [data.encode("latin-1") for data in fields["raw"]]
    fields["pauses"] = {int(at): seconds for at, seconds in fields.get("pauses", {}).items()}
    return Reply(**fields)


def _plain_reply(reply: Reply) -> dict[str, Any]:
    if any(isinstance(pause, Gate) for pause in reply.pauses.values()):
        raise ConfigurationError("a Gate cannot be passed to another process: use stall_after= and release()")
    fields = {each.name: getattr(reply, each.name) for each in dataclasses.fields(reply)}
    if reply.raw is not None:
        fields["raw"] = [data.decode("latin-1") for data in reply.raw]
    return fields
