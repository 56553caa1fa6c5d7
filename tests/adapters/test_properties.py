"""Laws 1 and 2 for every adapter, over random signatures, values, noises and cuts.

10,000 cases an adapter; `LMSTREAM_SYNC_CASES=100000` for more. A failure names its case:

    LMSTREAM_SYNC_CASE=xml:1234 pytest tests/adapters/test_properties.py

checks that one alone, and shows what is in it.
"""

from __future__ import annotations

import os

import pytest

from tests.adapters.properties import CASES, check

BLOCK = 500
COUNT = int(os.environ.get("LMSTREAM_SYNC_CASES", 10_000))
ONE = os.environ.get("LMSTREAM_SYNC_CASE", "")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, COUNT, BLOCK))
@pytest.mark.parametrize("adapter", CASES)
@pytest.mark.skipif(bool(ONE), reason="one case is asked for")
def test_what_was_streamed_is_what_came_back(adapter: str, first: int) -> None:
    for number in range(first, min(first + BLOCK, COUNT)):
        case = CASES[adapter](number)
        try:
            # Every fourth is also fed a character at a time.
            check(case, lag=number % 4 == 0)
        except Exception as error:
            raise AssertionError(
                f"case {adapter}:{number} ({', '.join(case.written.noises)}): {error}\n{case.written.reply[:2000]!r}"
            ) from error


@pytest.mark.skipif(not ONE, reason="no case is asked for")
def test_one_case() -> None:
    adapter, _, number = ONE.partition(":")
    case = CASES[adapter](int(number))
    print(case.of.signature, case.written, sep="\n")
    check(case, lag=True)
