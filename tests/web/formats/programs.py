"""A program with everything in it that a format may have to write."""

from __future__ import annotations

from typing import Any

import lmstream_sync as lms


def look_up(item: str) -> dict[str, Any]:
    """Look a thing up."""
    return {"price": float("nan"), "item": item}


def fail() -> None:
    """Fail."""
    raise KeyError("the inner details")


class Shop(lms.Module):
    """Two tools, one of which fails, an event of its own, reasoning and an answer."""

    def __init__(self) -> None:
        self.look_up = lms.Tool(look_up)
        self.fail = lms.Tool(fail)
        self.ask = lms.ChainOfThought("question, found -> answer")

    def forward(self, question: str) -> lms.Prediction:
        found = self.look_up(item="pan")
        try:
            self.fail()
        except KeyError:
            pass
        lms.emit({"source": "catalogue"})
        return self.ask(question=question, found=str(found))


def listened_shop() -> lms.Stream:
    """A call of it whose reasoning and answer stream."""
    listeners = [lms.StreamListener("reasoning"), lms.StreamListener("answer")]
    return lms.streamify(Shop(), stream_listeners=listeners)(question="?")
