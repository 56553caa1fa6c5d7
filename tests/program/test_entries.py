"""The four methods of a module: any may be overridden, and every way in runs what was overridden last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.program import prefers_async
from lmstream_sync.runtime.crossing import run

from .conftest import Hooks


class Forward(lms.Module):
    def forward(self, x: int, y: int = 0) -> tuple[str, int, int]:
        return "forward", x, y


class Aforward(lms.Module):
    async def aforward(self, x: int, y: int = 0) -> tuple[str, int, int]:
        await asyncio.sleep(0)
        return "aforward", x, y


class Call(lms.Module):
    def __call__(self, x: int, y: int = 0) -> tuple[str, int, int]:
        return "__call__", x, y


class Acall(lms.Module):
    async def acall(self, x: int, y: int = 0) -> tuple[str, int, int]:
        await asyncio.sleep(0)
        return "acall", x, y


class Both(Forward):
    async def aforward(self, x: int, y: int = 0) -> tuple[str, int, int]:
        return "aforward", x, y


class OnTop(Aforward):
    def forward(self, x: int, y: int = 0) -> tuple[str, int, int]:
        return "forward on top", x, y


class CallOverForward(Forward):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ("__call__", *super().__call__(*args, **kwargs))


class AcallOverForward(Forward):
    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        return ("acall", *(await super().acall(*args, **kwargs)))


class BothOverForward(CallOverForward, AcallOverForward):
    pass


class SuperForward(Aforward):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return ("forward", *super().forward(*args, **kwargs))


class SuperAforward(Forward):
    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        return ("aforward", *(await super().aforward(*args, **kwargs)))


SEVERAL = [
    (Forward, "forward", "forward", False),
    (Aforward, "aforward", "aforward", True),
    (Call, "__call__", "__call__", False),
    (Acall, "acall", "acall", True),
    (Both, "aforward", "aforward", True),
    (OnTop, "forward on top", "forward on top", False),
    (CallOverForward, ("__call__", "forward"), ("__call__", "forward"), False),
    (AcallOverForward, ("acall", "forward"), ("acall", "forward"), True),
    (SuperForward, ("forward", "aforward"), ("forward", "aforward"), False),
    (SuperAforward, ("aforward", "forward"), ("aforward", "forward"), True),
]


def words(expected: Any) -> tuple[str, ...]:
    return expected if isinstance(expected, tuple) else (expected,)


@pytest.mark.parametrize(("make", "called", "awaited", "natural"), SEVERAL, ids=[each[0].__name__ for each in SEVERAL])
def test_every_way_in_runs_what_was_overridden_last_and_tells_of_it_once(
    hooks: Hooks, make: Callable[[], lms.Module], called: Any, awaited: Any, natural: bool
) -> None:
    module = make()
    assert prefers_async(module) is natural
    assert module(1, y=2) == (*words(called), 1, 2)
    assert asyncio.run(module.acall(1, y=2)) == (*words(awaited), 1, 2)
    told = [("start", type(module).__name__, {"x": 1, "y": 2}), ("end", "tuple")]
    assert hooks.seen == told * 2


def test_a_class_that_overrides_both_entries_keeps_each(hooks: Hooks) -> None:
    module = BothOverForward()
    assert module(1) == ("__call__", "forward", 1, 0)
    assert asyncio.run(module.acall(1)) == ("acall", "forward", 1, 0)
    assert [each[0] for each in hooks.seen] == ["start", "end"] * 2


def test_a_class_that_overrides_both_bodies_uses_the_one_of_the_entry() -> None:
    class Twofold(lms.Module):
        def forward(self) -> str:
            return "forward"

        async def aforward(self) -> str:
            return "aforward"

    assert Twofold()() == "forward"
    assert asyncio.run(Twofold().acall()) == "aforward"


def test_a_synchronous_body_runs_in_a_worker_when_awaited_and_in_the_callers_thread_when_called() -> None:
    class Where(lms.Module):
        def forward(self) -> str:
            return threading.current_thread().name

    assert Where()() == threading.current_thread().name
    assert asyncio.run(Where().acall()) == "lmstream-worker"
    assert run(lambda: Where().acall(), instead="") == "lmstream-worker"


def test_an_asynchronous_body_runs_on_the_loop_thread_when_called() -> None:
    class Where(lms.Module):
        async def aforward(self) -> str:
            return threading.current_thread().name

    assert Where()() == "lmstream-loop"


def test_a_call_that_would_block_the_loop_names_acall() -> None:
    async def blocks() -> Any:
        return Aforward()(1)

    with pytest.raises(lms.StreamError, match=r"await aforward\.acall"):
        run(blocks, instead="")


def test_a_call_of_itself_within_a_call_is_told_of_too(hooks: Hooks) -> None:
    class Countdown(lms.Module):
        def forward(self, n: int) -> int:
            return n if n == 0 else int(self(n - 1))

    assert Countdown()(2) == 0
    assert [each[2] for each in hooks.seen if each[0] == "start"] == [{"n": 2}, {"n": 1}, {"n": 0}]


def test_calls_within_an_entry_of_ones_own_are_told_of(hooks: Hooks) -> None:
    class Outer(lms.Module):
        def __init__(self) -> None:
            self.inner = Forward()

        def __call__(self, x: int) -> Any:
            return self.inner(x)

    Outer()(1)
    assert [each[1] for each in hooks.seen] == ["Outer", "Forward", "tuple", "tuple"]


def test_an_error_is_told_of_and_comes_as_it_is(hooks: Hooks) -> None:
    class Fails(lms.Module):
        def forward(self) -> None:
            raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        Fails()()
    with pytest.raises(KeyError, match="own"):
        asyncio.run(Fails().acall())
    assert hooks.seen == [("start", "Fails", {}), ("end", "KeyError")] * 2


def test_positional_arguments_are_told_by_their_names_and_those_left_over_as_args(hooks: Hooks) -> None:
    class Many(lms.Module):
        def forward(self, first: int, *rest: int, flag: bool = False) -> int:
            return len(rest)

    assert Many()(1, 2, 3, flag=True) == 2
    assert hooks.seen[0][2] == {"first": 1, "args": (2, 3), "flag": True}


def test_a_modules_own_callbacks_see_it_alone(hooks: Hooks) -> None:
    class Watched(lms.Module):
        def __init__(self, callbacks: Any) -> None:
            super().__init__(callbacks)
            self.inner = Forward()

        def forward(self) -> Any:
            return self.inner(1)

    own = Hooks()
    Watched([own])()
    assert [each[1] for each in own.seen] == ["Watched", "tuple"]
    assert [each[1] for each in hooks.seen] == ["Watched", "Forward", "tuple", "tuple"]


def test_super_init_may_be_left_out() -> None:
    class Bare(lms.Module):
        def __init__(self, n: int) -> None:
            self.n = n

        def forward(self) -> int:
            return self.n

    assert Bare(3)() == 3
    assert Bare(3).callbacks == [] and Bare(3).callbacks is not Bare(3).callbacks


def test_a_module_that_does_nothing_says_what_to_define() -> None:
    for call in (lms.Module(), lambda: asyncio.run(lms.Module().acall()), lambda: lms.Module().check_call((), {})):
        with pytest.raises(lms.ConfigurationError, match=r"define forward\(self"):
            call()


@pytest.mark.parametrize("make", [Forward, Aforward, Call, Acall, Both])
def test_arguments_can_be_checked_before_the_call(make: type[lms.Module]) -> None:
    module = make()
    module.check_call((1,), {"y": 2})
    for args, kwargs in [((), {}), ((1,), {"z": 1}), ((1, 2, 3), {})]:
        with pytest.raises(lms.SignatureError, match=make.__name__):
            module.check_call(args, kwargs)
