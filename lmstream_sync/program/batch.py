"""`Module.batch`: one program over a list of examples, so many at a time.

Knows a module only by what it is given of it: a function that begins a call. The calls run
as `runtime.many` says, without a thread each where the program is asynchronous.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lmstream_sync.errors import ConfigurationError, LMStreamError
from lmstream_sync.lm.secrets import known_secrets, scrub
from lmstream_sync.program.progress import progress
from lmstream_sync.runtime.clocks import limits_asked
from lmstream_sync.runtime.many import ManyCalls
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.waiting import forbid_on_loop
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Example

__all__ = ["arguments_of_input", "batch", "check_count", "checked_inputs"]

_log = logging.getLogger("lmstream_sync.batch")

#: DSPy's own, where neither the call nor the settings say.
NUM_THREADS = 8
MAX_ERRORS = 10

#: Gives the coroutine of one call, and checks its arguments.
AsyncCall = Callable[..., Awaitable[Any]]
Check = Callable[[Sequence[Any], dict[str, Any]], None]


def arguments_of_input(item: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call that one input stands for.

    Args:
        item: a dict: arguments by name; an `Example`: its inputs, or all its fields where
            it does not say which are inputs; a tuple: positional arguments.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(item, Example):
        return (), dict((item if item._input_keys is None else item.inputs()).items())
    if isinstance(item, Mapping):
        return (), {str(name): value for name, value in item.items()}
    if isinstance(item, tuple):
        return item, {}
    raise ConfigurationError(
        f"an input is a {type(item).__name__}; give dicts of arguments ({{'question': ...}}), Examples, or tuples of "
        "positional arguments"
    )


def checked_inputs(inputs: Any, name: str) -> Any:
    """The inputs, unless they are one alone or nothing that can be iterated over.

    Raises:
        ConfigurationError: they are.
    """
    if isinstance(inputs, (str, bytes, Mapping, Example)):
        raise ConfigurationError(f"{name}: the inputs are one {type(inputs).__name__}; give a list of inputs: [...]")
    if not hasattr(type(inputs), "__iter__") and not hasattr(type(inputs), "__getitem__"):
        asynchronous = "; an asynchronous one is not taken" if hasattr(type(inputs), "__aiter__") else ""
        raise ConfigurationError(
            f"{name}: the inputs are a {type(inputs).__name__}; give a list, a generator or another iterable"
            + asynchronous
        )
    return inputs


def check_count(number: Any, what: str) -> int:
    """A positive whole number.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{what}={number!r}: give a positive whole number")
    return number


def batch(
    acall: AsyncCall,
    check: Check,
    examples: Sequence[Any],
    *,
    name: str,
    num_threads: int | None,
    max_errors: int | None,
    return_failed_examples: bool,
    provide_traceback: bool | None,
    disable_progress_bar: bool,
    timeout: Timeout | float | None,
) -> Any:
    """Call a program once for each example; see `Module.batch`.

    Args:
        acall: the program, to be awaited on the loop.
        check: raises what is wrong with the arguments of a call.
        name: the program's, for messages.
    """
    forbid_on_loop("async for index, result in lms.run_many(program, examples)")
    items = list(checked_inputs(examples, f"{name}.batch"))
    at_once = check_count(num_threads or settings.get("num_threads") or NUM_THREADS, "num_threads")
    allowed = check_count(settings.get("max_errors", MAX_ERRORS) if max_errors is None else max_errors, "max_errors")
    told = bool(settings.get("provide_traceback") if provide_traceback is None else provide_traceback)

    def begin(item: Any) -> Callable[[Any], Awaitable[Any]]:
        args, kwargs = arguments_of_input(item)
        check(args, kwargs)
        return lambda _: acall(*args, **kwargs)

    results: list[Any] = [None] * len(items)
    failures: dict[int, Exception] = {}
    calls = ManyCalls(
        items,
        begin,
        concurrency=min(at_once, max(1, len(items))),
        ordered=False,
        limits=limits_asked(Timeout.of(timeout or None)),
        name=f"{name}.batch",
    )
    with calls, progress(f"{name}.batch", len(items), shown=not disable_progress_bar) as advance:
        for index, outcome in calls:
            if isinstance(outcome, Exception):
                failures[index] = outcome
                _report(name, index, outcome, told)
                if len(failures) >= allowed:
                    break
            else:
                results[index] = outcome
            advance()
    if len(failures) >= allowed:
        raise _too_many(name, failures, allowed, len(items))
    if return_failed_examples:
        failed = sorted(failures)
        return results, [items[index] for index in failed], [failures[index] for index in failed]
    return results


def _report(name: str, index: int, error: Exception, with_traceback: bool) -> None:
    """Say in the log that an example failed."""
    shown = f"{type(error).__name__}: {error}"
    if with_traceback:
        shown += "\n" + "".join(traceback.format_exception(error))
    _log.error("%s: example %d failed: %s", name, index, scrub(shown, known_secrets({})))


def _too_many(name: str, failures: Mapping[int, Exception], allowed: int, total: int) -> LMStreamError:
    index, first = next(iter(failures.items()))
    error = LMStreamError(
        f"{name}.batch stopped: {len(failures)} of {total} examples failed and max_errors={allowed}; the first was "
        f"example {index}: {type(first).__name__}: {first}"
    )
    error.__cause__ = first
    return error
