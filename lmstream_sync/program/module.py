"""`Module`: the base of every program. Its interface is DSPy's.

A module may be written synchronously or asynchronously and called either way: what it does
not have itself is made of what it has, by a worker thread or by the event loop.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from lmstream_sync.errors import ConfigurationError, SignatureError
from lmstream_sync.program.batch import batch
from lmstream_sync.program.entries import FOUR, OneCall, announced, nearest
from lmstream_sync.program.saving import Saved
from lmstream_sync.program.tree import replaced, walk
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.signatures import SignatureMeta

if TYPE_CHECKING:
    from typing_extensions import Self

    from lmstream_sync.callbacks import BaseCallback
    from lmstream_sync.lm.model import LM
    from lmstream_sync.runtime.timeout import Timeout

__all__ = ["Module", "Predictor", "prefers_async"]


class Module(Saved):
    """A program: write `forward`, or `aforward` where you await.

        class Brief(lms.Module):
            def __init__(self):
                self.outline = lms.Predict("topic -> outline")
                self.write = lms.Predict("outline -> text")

            def forward(self, topic):
                return self.write(outline=self.outline(topic=topic).outline)

    It is called as `brief(topic=...)` or `await brief.acall(topic=...)`. `__call__` and `acall`
    may be overridden too. Of all these the most derived class's override is what runs.

    Args:
        callbacks: `BaseCallback` objects that see the calls of this module, besides those of
            the settings. A subclass need not call `super().__init__()`.
    """

    callbacks: list[Any]

    #: Attributes in which no modules are looked for.
    _leaves: ClassVar[frozenset[str]] = frozenset({"callbacks"})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Give what `__init__` gives, for subclasses that leave out `super().__init__()`."""
        made = super().__new__(cls)
        made.callbacks = []
        return made

    def __init__(self, callbacks: Sequence[BaseCallback] | None = None) -> None:
        self.callbacks = list(callbacks or ())

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("__call__", "acall"):
            entry = vars(cls).get(name)
            if inspect.isfunction(entry):
                setattr(cls, name, announced(entry))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program and wait for it, in any thread but the event loop's.

        Raises:
            StreamError: on the event-loop thread, where it would have to wait.
            Stopped: it runs for a reader who has gone.
        """
        cls = type(self)
        other = ("acall",) if cls.__call__ is Module.__call__ else ()
        how = nearest(cls, Module, "forward", "aforward", *other)
        with OneCall(self, args, kwargs, begins=how != "acall") as call:
            if how == "acall":
                return call.gives(self._cross(self.acall, args, kwargs))
            if how == "aforward":
                return call.gives(self._cross(self.aforward, args, kwargs))
            return call.gives(self.forward(*args, **kwargs))

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program and await it, on any event loop."""
        cls = type(self)
        other = ("__call__",) if cls.acall is Module.acall else ()
        how = nearest(cls, Module, "aforward", "forward", *other)
        with OneCall(self, args, kwargs, begins=how != "__call__") as call:
            if how == "__call__":
                return call.gives(await in_worker(partial(self, *args, **kwargs), name=cls.__name__))
            if how == "forward":
                return call.gives(await in_worker(partial(self.forward, *args, **kwargs), name=cls.__name__))
            return call.gives(await self.aforward(*args, **kwargs))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the program does; override it. Where only `aforward` is written, runs that.

        Raises:
            ConfigurationError: neither is written.
        """
        if not nearest(type(self), Module, "aforward"):
            raise self._no_forward()
        return self._cross(self.aforward, args, kwargs)

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        """What the program does, awaiting; override it. Where only `forward` is written, runs that in a worker.

        Raises:
            ConfigurationError: neither is written.
        """
        if not nearest(type(self), Module, "forward"):
            raise self._no_forward()
        return await in_worker(partial(self.forward, *args, **kwargs), name=type(self).__name__)

    def _cross(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = type(self).__name__
        return crossing.run(lambda: method(*args, **kwargs), instead=f"await {name.lower()}.acall(...)", name=name)

    def _no_forward(self) -> ConfigurationError:
        return ConfigurationError(f"{type(self).__name__} does nothing yet; define forward(self, ...) or aforward")

    def check_call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise what can be known to be wrong with a call before it starts.

        Raises:
            SignatureError: arguments that the program does not take, or lacks.
            ConfigurationError: the program is not written, or there is no LM for it.
        """
        name = nearest(type(self), Module, *FOUR)
        if not name:
            raise self._no_forward()
        signature = inspect.signature(getattr(self, name))
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            complaint = f"{type(self).__name__}{signature}: {error}"
        else:
            return
        raise SignatureError(complaint)

    def batch(
        self,
        examples: Sequence[Any],
        num_threads: int | None = None,
        max_errors: int | None = None,
        return_failed_examples: bool = False,
        provide_traceback: bool | None = None,
        disable_progress_bar: bool = False,
        timeout: Timeout | float | None = None,
        straggler_limit: int = 3,
    ) -> Any:
        """Call the program once for each example, many at a time, and wait for all.

        Nothing takes a thread that awaits: asynchronous programs (every built-in one) run on
        the event loop, a synchronous `forward` in a worker while it runs. On a terminal a
        progress bar shows on standard error where `rich` is installed. `lms.run_many` gives
        results as they come, and takes inputs without end.

        Args:
            examples: `Example` objects (their inputs count), dicts, or tuples of positional arguments.
            num_threads: how many at a time; `settings.num_threads`, else 8.
            max_errors: how many examples must fail to stop all; `settings.max_errors`, else 10.
            return_failed_examples: give the examples that failed, and why, too.
            provide_traceback: log the traceback of each failure; `settings.provide_traceback`.
            disable_progress_bar: show none.
            timeout: for each call: seconds, or a `Timeout`; `None` or 0 leaves it to the settings.
            straggler_limit: DSPy asks again for examples that take long; here `timeout` ends
                them, and this has no effect.

        Returns:
            The results in the order of the examples, `None` where one failed; with
            `return_failed_examples` these, the failed examples and their exceptions.

        Raises:
            LMStreamError: `max_errors` examples failed; the first error is its cause.
            ConfigurationError: no LM, or arguments that cannot be meant.
            StreamError: on the event-loop thread, where it would have to wait.
        """
        return batch(
            self.acall,
            self.check_call,
            examples,
            name=type(self).__name__,
            num_threads=num_threads,
            max_errors=max_errors,
            return_failed_examples=return_failed_examples,
            provide_traceback=provide_traceback,
            disable_progress_bar=disable_progress_bar,
            timeout=timeout,
        )

    def named_predictors(self) -> list[tuple[str, Predictor]]:
        """Each `Predict` in this program once, with its path: `draft`, `steps[0].predict`, `by_name['k']`.

        A bare predictor is called `self`.
        """
        return [(path or "self", module) for path, module in walk(self, Module) if isinstance(module, Predictor)]

    def predictors(self) -> list[Predictor]:
        """Each `Predict` in this program once."""
        return [predictor for _, predictor in self.named_predictors()]

    def named_sub_modules(self, type_: type | None = None) -> Iterator[tuple[str, Module]]:
        """This module and each within it once, as `self`, `self.draft`, `self.steps[0].predict`.

        Args:
            type_: only modules of this class.
        """
        for path, module in walk(self, Module):
            if type_ is None or isinstance(module, type_):
                yield (f"self.{path}" if path else "self"), module

    def set_lm(self, lm: LM | None) -> None:
        """Give every predictor in this program this model; `None`: that of the settings."""
        for predictor in self.predictors():
            predictor.lm = lm

    def get_lm(self) -> LM | None:
        """The model that all predictors in this program were given; `None`: that of the settings.

        Raises:
            ConfigurationError: they have several, or there is no predictor.
        """
        named = self.named_predictors()
        if not named:
            raise ConfigurationError(f"{type(self).__name__} has no predictors, so no LM")
        if any(predictor.lm is not named[0][1].lm for _, predictor in named):
            raise ConfigurationError(
                f"the predictors of {type(self).__name__} have several LMs: {', '.join(name for name, _ in named)}"
            )
        return named[0][1].lm

    def map_named_predictors(self, func: Callable[[Predictor], Any]) -> Any:
        """Put `func(predictor)` in the place of each predictor, on every path to it.

        Returns:
            This module; for a bare predictor what `func` made of it.
        """
        new = {id(predictor): func(predictor) for predictor in self.predictors()}
        return replaced(self, Module, new, set())

    def deepcopy(self) -> Self:
        """A copy whose predictors, demos and other state are its own; LMs and callbacks are shared."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        for name, value in vars(self).items():
            vars(made)[name] = self._copied(name, value, memo)
        return made

    def _copied(self, name: str, value: Any, memo: dict[int, Any]) -> Any:
        if name == "callbacks":
            return list(value)
        if name == "lm":
            return value
        try:
            return copy.deepcopy(value, memo)
        except Exception:  # a lock, a connection: what cannot be copied is shared, as in DSPy
            return value

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={predictor!r}" for name, predictor in self.named_predictors())
        return f"{type(self).__name__}({inner})"


class Predictor(Module):
    """What programs are searched for: a module that asks a model itself. `Predict` is the one there is.

    Attributes:
        signature: what goes in and comes out.
        demos: examples for the prompt, dicts or `Example` objects.
        lm: the model, or `None` for that of the settings.
        config: options of every request.
    """

    _leaves: ClassVar[frozenset[str]] = Module._leaves | {"signature", "demos", "lm", "config"}

    signature: SignatureMeta
    demos: list[Mapping[str, Any]]
    lm: LM | None
    config: dict[str, Any]


def prefers_async(program: Module) -> bool:
    """Whether `acall` is the natural way into a program: its most derived class that says anything says so."""
    return nearest(type(program), Module, *FOUR) in ("acall", "aforward")
