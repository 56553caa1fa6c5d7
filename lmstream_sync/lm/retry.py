"""Tries again what failed before its first token. The only file that knows tenacity."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState

from lmstream_sync.errors import (
    LMConnectionError,
    LMError,
    LMInterrupted,
    RateLimitError,
    ServerError,
)

__all__ = ["retrying", "worth_retrying"]

T = TypeVar("T")

#: Seconds before the second attempt; doubled each time, to `LONGEST` at most, with jitter.
FIRST_PAUSE = 0.25
LONGEST = 10.0


def worth_retrying(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, LMError) and error._lasting:
        return False
    if isinstance(error, (RateLimitError, ServerError, LMConnectionError, LMInterrupted)):
        return True
    return isinstance(error, LMError) and error.status_code in (408, 409, 425)


async def retrying(
    attempt: Callable[[], Awaitable[T]],
    failed: list[Exception],
    retries: int,
    may_retry: Callable[[], bool],
    remaining: Callable[[], float | None],
) -> T:
    """Await `attempt()` again, after a pause, where its first run failed in a way that may pass.

    The first run is the caller's: nearly all requests need no other, and tenacity's own work
    takes longer than all else here.

    Args:
        attempt: one attempt; raises `LMError`.
        failed: what the first one raised; taken out of the list.
        retries: how many more attempts than one.
        may_retry: false once a token was shown: text is never repeated.
        remaining: seconds left of the deadline, `None` for no deadline. An error whose
            pause does not fit is raised at once.

    Raises:
        Exception: what the last attempt raised.
    """

    async def first_then_further() -> T:
        if failed:
            raise failed.pop()
        return await attempt()

    plan = _Plan(retries, may_retry, remaining)
    controller = AsyncRetrying(retry=plan.decide, wait=plan.wait, stop=_never, reraise=True)
    result: T = await controller(first_then_further)
    return result


class _Plan:
    """Decides on each failure, and so knows the pause before tenacity asks for it."""

    def __init__(self, retries: int, may_retry: Callable[[], bool], remaining: Callable[[], float | None]) -> None:
        self._retries = retries
        self._may_retry = may_retry
        self._remaining = remaining
        self._pause = 0.0

    def decide(self, state: RetryCallState) -> bool:
        outcome = state.outcome
        error = outcome.exception() if outcome is not None else None
        if error is None or state.attempt_number > self._retries:
            return False
        if not worth_retrying(error) or not self._may_retry():
            return False
        asked = getattr(error, "retry_after", None)
        if isinstance(asked, (int, float)):
            self._pause = max(0.0, float(asked))
        else:
            longest = min(LONGEST, FIRST_PAUSE * 2.0 ** (state.attempt_number - 1))
            self._pause = random.uniform(longest / 2, longest)
        left = self._remaining()
        return left is None or self._pause < left

    def wait(self, state: RetryCallState) -> float:
        return self._pause


def _never(state: RetryCallState) -> bool:
    return False
