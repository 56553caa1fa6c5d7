"""What is counted, and what it costs, looked up late."""

from __future__ import annotations

import pickle
from functools import partial

from lmstream_sync.lm.engine import Reply
from lmstream_sync.lm.usage import UsageTally, plain_usage

USED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_a_price_that_is_looked_up_late_is_added_to_those_that_are_known() -> None:
    asked: list[float] = []

    def look(price: float | None) -> float | None:
        asked.append(price or 0.0)
        return price

    tally = UsageTally()
    tally.add("m", USED, 0.5)
    assert (tally.price, tally.cost) == (0.5, 0.5)
    tally.add("m", USED, partial(look, 0.25))
    tally.add("m", USED, partial(look, None))
    assert callable(tally.price) and asked == []
    assert tally.cost == 0.75 and asked == [0.25, 0.0]


def test_what_nobody_knows_the_price_of_costs_none() -> None:
    tally = UsageTally()
    tally.add("m", USED)
    assert tally.cost is None
    tally.add("m", USED, partial(dict[str, float]().get, "m"))
    assert tally.cost is None


def test_a_price_goes_with_a_reply_that_is_kept() -> None:
    reply: Reply = pickle.loads(pickle.dumps(Reply([], price=partial(float, "0.5"))))
    assert reply.cost == 0.5
    assert Reply([], price=0.25).cost == 0.25 and Reply([]).cost is None


def test_thought_that_is_counted_beside_the_answer_is_added_to_it() -> None:
    """xAI's way; OpenAI's `completion_tokens` holds the thought already."""
    thought = {"completion_tokens_details": {"reasoning_tokens": 5}}
    beside = plain_usage({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 18, **thought})
    within = plain_usage({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18, **thought})
    assert beside == within and within["completion_tokens"] == 8
