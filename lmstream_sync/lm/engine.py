"""The seam to the outside world: what an engine is given, and what it gives back.

An engine speaks to providers; everything above it sees requests, deltas and replies.
One engine is litellm (`litellm_engine.py`), the other speaks the commonest wire format
itself (`direct_engine.py`); `direct_choice.py` says which of the two serves a request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

__all__ = ["Choice", "Delta", "Engine", "LMRequest", "Price", "Reply", "Tap"]

#: US dollars; `None` where they are not known; or what finds them out when somebody asks.
Price: TypeAlias = "float | Callable[[], float | None] | None"


@dataclass(slots=True)
class Delta:
    """One piece of a streamed reply, as the provider cut it.

    Never changed once it is made; not frozen all the same: there is one for every chunk, and
    a frozen dataclass takes nine times as long to make (1.5 µs and 0.17).

    Attributes:
        content: text, or `None` where the piece carries none.
        reasoning: the model's own reasoning text, or `None`.
        index: the choice it belongs to (0 unless `n > 1`).
        finish_reason: set on the piece that ends its choice.
        tool_calls: fragments of tool calls as plain dicts, in the wire format's words.
        refusal: text of a refusal, or `None`.
        usage: plain dict of token counts, where the piece carries one.
        provider_fields: what the provider gives beside the wire format's own fields
            (Anthropic's `citation`), as a plain dict, or `None`.
        raw: a `litellm.ModelResponseStream` for this piece: from litellm always, from the
            direct engine where the request says `raw`.
    """

    content: str | None = None
    reasoning: str | None = None
    index: int = 0
    finish_reason: str | None = None
    tool_calls: Sequence[dict[str, Any]] = ()
    refusal: str | None = None
    usage: dict[str, Any] | None = None
    provider_fields: dict[str, Any] | None = None
    raw: Any = None


@dataclass(slots=True)
class Choice:
    """One whole answer of a reply.

    Attributes:
        text, reasoning, refusal, finish_reason, index: see `Delta`.
        tool_calls: whole ones, as plain dicts in the wire format's words.
        provider_fields: what the provider gave beside these; of a streamed reply the
            `citation` of every piece in a list `citations`, of all else the last that came.
    """

    text: str = ""
    reasoning: str | None = None
    finish_reason: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    refusal: str | None = None
    index: int = 0
    provider_fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    """A whole reply.

    Attributes:
        choices: one, or `n` of them.
        usage: `prompt_tokens`, `completion_tokens`, `total_tokens`, `cached_tokens`,
            `reasoning_tokens`; `estimated` is true where the provider reported nothing.
        price: what the reply cost, or what finds it out; see `cost`.
        model: the model as the LM was given it.
        cached: true where it came from a cache and nothing was sent.
    """

    choices: list[Choice]
    usage: dict[str, Any] = field(default_factory=dict)
    price: Price = None
    model: str = ""
    cached: bool = False

    @property
    def cost(self) -> float | None:
        """US dollars, or `None` where the model's price is not known.

        The direct engine looks its table up (litellm's, which is then imported) only here.
        """
        return self.price() if callable(self.price) else self.price


@dataclass(slots=True)
class LMRequest:
    """One request to a model.

    Attributes:
        model: the provider's model, in litellm's words (`"openai/gpt-4o-mini"`).
        messages: role/content dicts.
        options: everything else that is sent (`temperature`, `api_base`, ...). Keys and
            other secrets are `Secret` objects in it, revealed only where the engine sends.
        connect: seconds for the HTTP connection, `None` for no limit.
        engine_cache: the engine's own cache keeps the reply, and may answer.
        fresh: no cache may answer, nor keep the reply.
        rollout_id: tells requests apart that are otherwise the same; never sent.
        raw: every piece of the stream shall carry its `raw` object.
    """

    model: str
    messages: list[dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    connect: float | None = 10.0
    engine_cache: bool = False
    fresh: bool = False
    rollout_id: Any = None
    raw: bool = False


class Engine(Protocol):
    """One way to reach providers. Its methods run on the event-loop thread."""

    name: str

    async def prepare(self, *, raw: bool = False) -> None:
        """Import what the first request needs, off the loop, once a process.

        Args:
            raw: also what `LMRequest.raw` needs.
        """
        ...

    async def connect(self, request: LMRequest) -> None:
        """Open ahead the connection that the next such request will use, where that can be; never raises."""
        ...

    def stream(self, request: LMRequest) -> AsyncIterator[list[Delta]]:
        """Send a request and give its pieces; what one read brought comes as one list.

        An asynchronous generator: closing it, or cancelling the task that reads it,
        closes the provider's connection at once.
        """
        ...

    async def complete(self, request: LMRequest) -> Reply:
        """Send a request and wait for the whole reply."""
        ...

    def price(self, model: str, usage: dict[str, Any]) -> Price:
        """US dollars for a usage, `None` where the model's price is not known, or what finds them out.

        Takes a `cost` that the provider reported out of `usage`.
        """
        ...


class Tap(Protocol):
    """Something that sees a reply while it comes. Its methods run on the loop.

    An LM given a tap asks for a streamed reply. A cache hit feeds no tap.
    """

    def feed(self, deltas: Sequence[Delta]) -> Awaitable[None] | None:
        """Pieces arrived. Gives what is to be awaited before more are read, which holds the provider back.

        Mostly there is nothing to wait for: no coroutine is made for each piece.
        """
        ...

    async def end(self, reply: Reply) -> None:
        """The reply ended well; nothing more comes."""
        ...
