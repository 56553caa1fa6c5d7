"""Settings: process-wide by `configure`, for a thread or task by `context`."""

from __future__ import annotations

import contextvars
import copy
import threading
from collections.abc import Iterator

import pytest

import lmstream_sync as lms


def test_context_lays_values_over_the_process_and_takes_them_back() -> None:
    lms.configure(flavour="salt")
    with lms.context(flavour="sugar", extra=1):
        assert (lms.settings.flavour, lms.settings.extra) == ("sugar", 1)
        with lms.context(flavour="lime"):
            assert lms.settings.flavour == "lime"
        assert lms.settings.flavour == "sugar"
    assert lms.settings.flavour == "salt"
    assert "extra" not in lms.settings


def test_contexts_may_be_left_in_another_order_than_entered() -> None:
    outer, inner = lms.context(one=1), lms.context(two=2)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert lms.settings.two == 2 and "one" not in lms.settings
    inner.__exit__(None, None, None)
    assert "one" not in lms.settings and "two" not in lms.settings


def test_context_is_of_its_thread_and_configure_of_the_process() -> None:
    seen: list[object] = []
    with lms.context(flavour="mine"):
        thread = threading.Thread(target=lambda: (seen.append(lms.settings.get("flavour")), lms.configure(other=2)))
        thread.start()
        thread.join()
    assert seen == [None]
    assert lms.settings.other == 2


def test_an_unknown_key_says_how_to_set_it() -> None:
    with pytest.raises(AttributeError, match=r"lms\.configure\(nothing="):
        _ = lms.settings.nothing
    assert lms.settings.get("nothing", "default") == "default"


def test_configure_from_many_threads_loses_no_key() -> None:
    barrier = threading.Barrier(20)

    def set_one(i: int) -> None:
        barrier.wait()
        lms.configure(**{f"key_{i}": i})

    threads = [threading.Thread(target=set_one, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lms.settings.get(f"key_{i}") for i in range(20)] == list(range(20))


def test_a_forgotten_block_that_ends_elsewhere_changes_nothing_there() -> None:
    """The collector ends a forgotten generator in whatever context it finds."""

    def inside() -> Iterator[None]:
        with lms.context(here="inner"):
            yield

    forgotten = inside()
    contextvars.copy_context().run(next, forgotten)
    with lms.context(here="mine", other=1):
        del forgotten
        assert (lms.settings.here, lms.settings.other) == ("mine", 1)


def test_they_can_be_copied() -> None:
    """As a program may hold them that is copied or pickled; a copy in the making has no keys yet."""
    with lms.context(lm="m"):
        made = copy.copy(lms.settings)
        assert made.lm == "m" and made.queue_size == lms.settings.queue_size
        assert not hasattr(made, "no such key")
