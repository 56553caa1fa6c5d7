"""What follows from a signature alone, worked out once for each and forgotten with it.

A signature never changes, but for names that stood further down where it was written and
exist by now; then it forgets what was worked out before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from lmstream_sync.signatures.signature import SignatureMeta

__all__ = ["remembered"]

T = TypeVar("T")


def remembered(work: Callable[[SignatureMeta], T]) -> Callable[[SignatureMeta], T]:
    """A function of a signature that does its work once for each; what it gives must not be changed."""

    @wraps(work)
    def found(signature: SignatureMeta) -> T:
        memory = signature._memory
        try:
            known: T = memory[work]
        except KeyError:
            # Two threads may both come here; they make the same.
            known = memory[work] = work(signature)
        return known

    return found
