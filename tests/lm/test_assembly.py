"""The pieces of a reply, put together: in whatever order choices come, and from when on something of it is there."""

from __future__ import annotations

import itertools

import pytest

from lmstream_sync.lm.assembly import Assembly
from lmstream_sync.lm.engine import Delta


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_choices_come_in_any_order_and_go_in_theirs(order: tuple[int, ...]) -> None:
    assembly = Assembly()
    for text in ("a", "b"):
        assembly.add([Delta(f"{text}{index} ", None, index) for index in order])
    assembly.add([Delta(index=index, finish_reason="stop") for index in reversed(order)])
    choices = assembly.reply("m").choices
    assert [(each.index, each.text, each.finish_reason) for each in choices] == [
        (index, f"a{index} b{index} ", "stop") for index in range(3)
    ]
    assert assembly.characters == 18


def test_a_choice_without_a_first_one_is_there_too() -> None:
    assembly = Assembly()
    assembly.add([Delta("x", None, 2)])
    assert [(each.index, each.text) for each in assembly.reply("m").choices] == [(2, "x")]


@pytest.mark.parametrize(
    ("delta", "begins"),
    [
        (Delta(), False),
        (Delta(""), False),
        (Delta(usage={"prompt_tokens": 1}), False),
        (Delta(provider_fields={"x": 1}), False),
        (Delta(provider_fields={"citation": {}}), True),
        (Delta("x"), True),
        (Delta("x", None, 1), True),
        (Delta(reasoning="x"), True),
        (Delta(refusal="x"), True),
        (Delta(tool_calls=({"index": 0},)), True),
        (Delta(finish_reason="stop"), True),
    ],
)
@pytest.mark.parametrize("before", [None, Delta(provider_fields={"x": 1})])
def test_a_reply_begins_with_what_is_something_of_it(before: Delta | None, delta: Delta, begins: bool) -> None:
    assembly = Assembly()
    if before is not None:
        assembly.add([before])
    assembly.add([delta])
    assert assembly.begun is begins
