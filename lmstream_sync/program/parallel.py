"""`Parallel`: runs pairs of a program and its inputs, so many at a time, as `Module.batch` runs one program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.program.batch import arguments_of_input, batch
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.signatures import Example

__all__ = ["Parallel"]


class Parallel:
    """Runs pairs of a program and its inputs at the same time; gives the results in order.

        lms.Parallel(num_threads=3)([(qa, {"question": "..."}), (translate, {"text": "..."})])

    Programs that are synchronous take a worker thread each while they run; those that are
    not, the built-in modules among them, take none. The settings in force go with them.

    Args:
        num_threads: how many run at once; `None`: the setting of that name, else 8.
        max_errors: at that many failures the rest is stopped; `None`: the setting of that
            name, else 10. Up to then a failure is logged and its result is `None`.
        access_examples: an `Example` among the inputs stands for its input fields; `False`: it is
            the program's one argument.
        return_failed_examples: give three lists: results, inputs that failed, their errors.
        provide_traceback: log failures with their traceback.
        disable_progress_bar: no progress bar, though a terminal is there.
        timeout: limits of each call: a `Timeout`, or seconds for all of it.
    """

    def __init__(
        self,
        num_threads: int | None = None,
        max_errors: int | None = None,
        access_examples: bool = True,
        return_failed_examples: bool = False,
        provide_traceback: bool | None = None,
        disable_progress_bar: bool = False,
        timeout: Timeout | float | None = None,
    ) -> None:
        self.num_threads = num_threads
        self.max_errors = max_errors
        self.access_examples = access_examples
        self.return_failed_examples = return_failed_examples
        self.provide_traceback = provide_traceback
        self.disable_progress_bar = disable_progress_bar
        self.timeout = timeout

    def __call__(self, exec_pairs: Iterable[tuple[Any, Any]], num_threads: int | None = None) -> Any:
        """Run the pairs and wait for all of them.

        Args:
            exec_pairs: program and inputs each; inputs are a dict, an `Example`, a tuple of
                positional arguments, or for another `Parallel` its list of pairs.
            num_threads: for this call.

        Returns:
            The results in the order of the pairs, `None` for one that failed; see `return_failed_examples`.

        Raises:
            ConfigurationError: what is no such pair, or a number that is not positive.
            LMStreamError: `max_errors` was reached; the first failure is its cause.
            StreamError: on the event-loop thread, where it would have to wait.
        """
        pairs = [_checked(pair) for pair in exec_pairs]
        made = batch(
            self._run,
            self._check,
            pairs,
            name="Parallel",
            num_threads=num_threads or self.num_threads,
            max_errors=self.max_errors,
            return_failed_examples=self.return_failed_examples,
            provide_traceback=self.provide_traceback,
            disable_progress_bar=self.disable_progress_bar,
            timeout=self.timeout,
        )
        if not self.return_failed_examples:
            return made
        results, failed, errors = made
        return results, [inputs for _, inputs in failed], errors

    forward = __call__

    async def _run(self, program: Any, inputs: Any) -> Any:
        args, kwargs = self._arguments(program, inputs)
        if hasattr(program, "acall"):
            return await program.acall(*args, **kwargs)
        return await in_worker(partial(program, *args, **kwargs), name=getattr(program, "__name__", "a program"))

    def _check(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        program, inputs = args
        positional, named = self._arguments(program, inputs)
        check = getattr(program, "check_call", None)
        if check is not None:
            check(positional, dict(named))

    def _arguments(self, program: Any, inputs: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        whole = isinstance(inputs, Example) and not self.access_examples
        if whole or (isinstance(inputs, list) and isinstance(program, Parallel)):
            return (inputs,), {}
        return arguments_of_input(inputs)


def _checked(pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not callable(pair[0]):
        raise ConfigurationError(f"Parallel takes pairs of a program and its inputs, not {pair!r:.80}")
    return pair[0], pair[1]
