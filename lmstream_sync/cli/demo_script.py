"""What the demo's model says where no real one is asked."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from typing import Any

from lmstream_sync.cli.demo_program import BREAKS, LEAP_DAY, RESTARTS, STREAMED
from lmstream_sync.testing import Reply, Request

__all__ = ["Script", "next_leap_day"]

_STREAMED = {
    "reasoning": (
        "The question is about people who wait, not about machines. What do they see, what can they do meanwhile, "
        "and what does it cost to show it? Three points are enough."
    ),
    "answer": """\
Because waiting is easier when something happens. A model writes about as fast as one reads, so whoever sees the \
first words at once has read most of the answer by the time it is complete.

It also gives the reader a say:

- **Stop** what goes in the wrong direction. The connection is closed, and nobody pays for the rest.
- **Look into the reasoning** while the answer is still to come.
- **See what is happening** when a tool is called, instead of a spinner that tells nothing.

In Python that is an ordinary loop:

```python
for piece in answer(question="Why?").text():
    print(piece, end="", flush=True)
```

There is no `async` in it, and no thread for each reader.""",
}

_LONG = {
    "reasoning": "A little story will do. It does not matter how it ends, as it will not.",
    "answer": """\
There was once a letter that was carried over the mountains by eleven riders, each of whom knew only the next \
stable. The first ten of them arrived, and were given soup. The eleventh saw the lights of the town""",
}

_SECOND = {
    "reasoning": "The first attempt left out a part that was asked for. This one has everything.",
    "answer": """\
This is the second attempt. The first one lacked a part that the program had asked for, so its text was void: \
the page took it away and began anew.

Where that happens, a `StreamRestart` comes before the new text. Nothing is ever repeated, and nothing is left \
standing that is not part of the answer.""",
}

_OTHER = {
    "reasoning": "No model is here to think about it. The honest answer is to say so.",
    "answer": """\
This demo runs by a script: there is no model behind it that could answer that. It knows the questions of the \
empty page, to which **New chat** leads back.

For a real model, end the demo and start it with a key:

```sh
OPENAI_API_KEY=… python -m lmstream_sync demo
```

or with any other model by `--model`.""",
}


class Script:
    """The replies by what is asked; a function of the request's body, as `ScriptedServer` takes one."""

    def __init__(self) -> None:
        # Called in the server's thread alone.
        self._asked: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any]) -> Reply:
        prompt = Request(body, {}, "").prompt
        if "next_tool_name" in str(body["messages"][0].get("content")):
            return self._step(prompt)
        if "response_format" in body:
            return Reply(json.dumps(_SECOND), cut=6, delay=0.03)
        if LEAP_DAY in prompt:
            return _spoken(_leap_day_answer())
        if STREAMED in prompt:
            return _spoken(_STREAMED)
        if RESTARTS in prompt:
            return _spoken({"answer": _LONG["answer"]})  # without the reasoning, which the program asks for
        if BREAKS in prompt:
            self._asked[BREAKS] += 1
            if self._asked[BREAKS] % 2:
                return _spoken(_LONG, drop_after=10_000)
            return _spoken({**_LONG, "answer": f"{_LONG['answer']}, and did not ride on until morning."})
        return _spoken(_OTHER)

    def _step(self, prompt: str) -> Reply:
        if LEAP_DAY in prompt and "observation_0" not in prompt:
            day = next_leap_day(datetime.date.today())
            return _stepped(
                f"The next year that 4 divides is {day.year}, so its 29 February is the day. The calendar knows how "
                "far away that is.",
                "calendar",
                {"date": day.isoformat()},
            )
        thought = "That is all I need." if "observation_0" in prompt else "I can answer that without the calendar."
        return _stepped(thought, "finish", {})


def next_leap_day(today: datetime.date) -> datetime.date:
    """The first 29 February after a day."""
    day = today + datetime.timedelta(days=1)
    while (day.month, day.day) != (2, 29):
        day += datetime.timedelta(days=1)
    return day


def _leap_day_answer() -> dict[str, str]:
    today = datetime.date.today()
    day = next_leap_day(today)
    return {
        "reasoning": (
            f"The calendar says that {day} is a {day:%A}. What is asked is how long that is, so the days come first, "
            "and then why it is that year."
        ),
        "answer": (
            f"**{(day - today).days:,} days.** The next leap day is {day:%A}, 29 February {day.year}.\n\n"
            "A year has a leap day when 4 divides it, so that the calendar keeps pace with the sun: a year takes "
            "about 365.2422 days, and nearly a quarter of a day is left over each time.\n\n"
            "Nearly, but not quite. That is why there are two exceptions:\n\n"
            "1. Years that 100 divides have none: 1900 had no 29 February.\n"
            "2. Years that 400 divides have one all the same: 2000 did.\n\n"
            "With these rules the calendar is off by a day in about 3,000 years."
        ),
    }


def _stepped(thought: str, tool: str, inputs: dict[str, str]) -> Reply:
    return _spoken({"next_thought": thought, "next_tool_name": tool, "next_tool_args": json.dumps(inputs)})


def _spoken(fields: dict[str, str], **faults: Any) -> Reply:
    """Fields as a model writes them, about as fast as one reads."""
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items())
    return Reply(f"{text}[[ ## completed ## ]]\n" if not faults else text, cut=6, delay=0.03, **faults)
