"""What the demo serves: an agent with a calendar, its status messages, and the page's words."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from lmstream_sync.program import ReAct
from lmstream_sync.signatures import InputField, OutputField, Signature
from lmstream_sync.signatures.types import History
from lmstream_sync.streaming import StatusMessageProvider, Stream, StreamListener, streamify
from lmstream_sync.web.page import chat_page

__all__ = ["BREAKS", "LEAP_DAY", "RESTARTS", "STREAMED", "calendar", "demo_page", "demo_program"]

LEAP_DAY = "How long is it until the next leap day?"
STREAMED = "Why show an answer while it is being written?"
BREAKS = "Break off in the middle of an answer"
RESTARTS = "Start over in the middle of an answer"


class Chat(Signature):
    """Answer in a few short paragraphs. Use the calendar for anything about dates; you do not know today's."""

    history: History = InputField()
    question: str = InputField()
    answer: str = OutputField(desc="Markdown, without tables")


def calendar(date: str) -> str:
    """What weekday a date is and how far away it is; tells today's date too.

    Args:
        date: as YYYY-MM-DD, or "today"
    """
    today = datetime.date.today()
    asked = today if date == "today" else datetime.date.fromisoformat(date)
    return f"Today is {today:%A, %d %B %Y}. {asked} is a {asked:%A}, {(asked - today).days:,} days from today."


class _Doings(StatusMessageProvider):
    def tool_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        """What is looked up."""
        return f"Looking up {inputs.get('date', 'a date')} in the calendar"

    def tool_end_status_message(self, outputs: Any) -> str | None:
        """Nothing: the next step says enough."""
        return None


def demo_program() -> Callable[..., Stream]:
    """The agent: called with `history` and `question`, it streams its thoughts, its reasoning and its answer."""
    agent = ReAct(Chat, tools=[calendar], max_iters=4)
    return streamify(
        agent,
        status_message_provider=_Doings(),
        stream_listeners=[
            StreamListener("next_thought", allow_reuse=True),
            StreamListener("reasoning"),
            StreamListener("answer"),
        ],
    )


def demo_page(*, scripted: bool) -> str:
    """The chat page for it.

    Args:
        scripted: whether the scripted model answers, which knows a few questions only.
    """
    more = [(BREAKS, "shows an error, and how to go on"), (RESTARTS, "shows a second attempt")] if scripted else []
    return chat_page(
        title="lmstream_sync",
        history="history",
        greeting="Ask, and watch it being written.",
        examples=[
            (LEAP_DAY, "an agent with a tool"),
            (STREAMED, "reasoning, then a few paragraphs"),
            *more,
        ],
    )
