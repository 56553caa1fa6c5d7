"""What is tried again, how often, and when there is no point."""

from __future__ import annotations

import asyncio

import pytest

from lmstream_sync.errors import (
    AuthenticationError,
    BadRequestError,
    LMConnectionError,
    LMError,
    LMProtocolError,
    RateLimitError,
    ServerError,
)
from lmstream_sync.lm.retry import retrying


def outcome(
    error: LMError, *, retries: int = 2, begun: bool = False, remaining: float | None = None, good_after: int = 99
) -> tuple[int, object]:
    """How many attempts were made, and what came of them."""
    made: list[None] = []

    async def attempt() -> str:
        made.append(None)
        if len(made) > good_after:
            return "answer"
        raise error

    async def run() -> object:
        failed: list[Exception] = []
        try:
            return await attempt()
        except LMError as raised:
            failed.append(raised)
        try:
            return await retrying(attempt, failed, retries, lambda: not begun, lambda: remaining)
        except LMError as raised:
            return raised
        finally:
            assert not failed, "an error, and the frames it knows, would stay in the list"

    result = asyncio.run(run())
    return len(made), result


@pytest.mark.parametrize("kind", [RateLimitError, ServerError, LMConnectionError])
def test_what_may_pass_is_tried_again(kind: type[LMError]) -> None:
    error = kind("x", retry_after=0.0)
    assert outcome(error) == (3, error)
    assert outcome(error, good_after=1) == (2, "answer")


@pytest.mark.parametrize("kind", [AuthenticationError, BadRequestError, LMProtocolError])
def test_what_will_not_pass_is_not(kind: type[LMError]) -> None:
    error = kind("x")
    assert outcome(error) == (1, error)


def test_never_after_the_first_token() -> None:
    error = ServerError("x", retry_after=0.0)
    assert outcome(error, begun=True) == (1, error)


def test_no_retries_where_none_are_wanted() -> None:
    error = ServerError("x", retry_after=0.0)
    assert outcome(error, retries=0) == (1, error)


def test_a_pause_that_does_not_fit_the_deadline_is_not_begun() -> None:
    error = RateLimitError("x", retry_after=30.0)
    assert outcome(error, remaining=5.0) == (1, error)


def test_the_pause_grows_and_has_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    import tenacity.asyncio

    monkeypatch.setattr(tenacity.asyncio, "_portable_async_sleep", noted, raising=False)
    monkeypatch.setattr(asyncio, "sleep", noted)
    outcome(ServerError("x"), retries=4)
    assert len(pauses) == 4
    assert all(0.125 * 2**turn <= pause <= 0.25 * 2**turn for turn, pause in enumerate(pauses))
