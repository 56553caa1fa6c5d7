"""`Module`: a program, or a part of one, with a synchronous and an asynchronous face.

A user overrides any one of `forward`, `aforward`, `__call__` and `acall`; what was
overridden last in the class's ancestry is what runs, and the other face is made of it: a
synchronous body runs in a worker thread when it is awaited, an asynchronous one on the
event loop when it is called.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lmstream_sync.callbacks import HookedCall, call_hooks
from lmstream_sync.errors import ConfigurationError, SignatureError
from lmstream_sync.lm.usage import UsageTally, current_tally
from lmstream_sync.runtime.clocks import touch
from lmstream_sync.runtime.crossing import check_stopped, checkpoint, run
from lmstream_sync.runtime.workers import in_worker
from lmstream_sync.settings import settings
from lmstream_sync.signatures import Prediction

if TYPE_CHECKING:
    from typing_extensions import Self

    from lmstream_sync.lm import LM
    from lmstream_sync.program.predict import Predict

__all__ = ["Module", "prefers_async"]

_FACES = ("acall", "aforward", "__call__", "forward")


class Module:
    """The base of programs. `super().__init__()` may be left out.

    Args:
        callbacks: `BaseCallback` objects that see this module's calls, besides those of the settings.
    """

    def __init__(self, callbacks: Sequence[Any] | None = None) -> None:
        self.callbacks: list[Any] = list(callbacks or ())

    # The two faces.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module and wait for it, in any thread but the event loop's.

        Raises:
            StreamError: on the event-loop thread, where it would block every stream.
        """
        check_stopped()
        body = self._body(asynchronous=False)
        if body == "acall":
            return run(partial(self.acall, *args, **kwargs), instead=self._awaited(), name=type(self).__name__)
        with self._watched(args, kwargs) as call:
            if body == "aforward":
                coroutine = partial(self.aforward, *args, **kwargs)
                call.outputs = run(coroutine, instead=self._awaited(), name=type(self).__name__)
            else:
                call.outputs = self.forward(*args, **kwargs)
            return call.outputs

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module; for asynchronous code, on any event loop."""
        await checkpoint()
        body = self._body(asynchronous=True)
        name = type(self).__name__
        if body == "__call__":
            return await in_worker(partial(self.__call__, *args, **kwargs), name=name)
        with self._watched(args, kwargs) as call:
            if body == "forward":
                call.outputs = await in_worker(partial(self.forward, *args, **kwargs), name=f"{name}.forward")
            else:
                call.outputs = await self.aforward(*args, **kwargs)
            return call.outputs

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The synchronous body: override this one, or `aforward`."""
        raise ConfigurationError(f"{type(self).__name__} has no body: define forward(self, ...) or aforward(self, ...)")

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        """The asynchronous body: override this one, or `forward`."""
        return self.forward(*args, **kwargs)

    def _body(self, *, asynchronous: bool) -> str:
        """Which method does the work: of those overridden last, the one nearest to the face asked for."""
        order = ("aforward", "forward", "__call__") if asynchronous else ("forward", "aforward", "acall")
        face = "acall" if asynchronous else "__call__"
        for cls in type(self).__mro__:
            if cls is Module:
                break
            for name in order:
                # A face of one's own is used for the other one only where it is alone.
                if name in vars(cls) and not (name in ("__call__", "acall") and face in vars(cls)):
                    return name
        return "aforward" if asynchronous else "forward"

    def _awaited(self) -> str:
        return f"await {type(self).__name__}.acall(...)"

    @contextmanager
    def _watched(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[HookedCall]:
        """Hooks round a call, and the usage of a Prediction where that is tracked."""
        touch()
        tally = UsageTally() if settings.track_usage else None
        token = current_tally.set((*current_tally.get(), tally)) if tally is not None else None
        try:
            with call_hooks("module", self, self._named(args, kwargs), getattr(self, "callbacks", ())) as call:
                yield call
                if tally is not None and isinstance(call.outputs, Prediction):
                    call.outputs.set_lm_usage(tally.usage)
        finally:
            touch()
            if token is not None:
                current_tally.reset(token)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, for hooks."""
        if not args:
            return dict(kwargs)
        try:
            bound = inspect.signature(self._taking()).bind_partial(*args, **kwargs)
        except TypeError:
            return {"args": args, **kwargs}
        named = dict(bound.arguments)
        named.update(named.pop("kwargs", {}))
        return named

    def _taking(self) -> Callable[..., Any]:
        """The method whose parameters are those of a call."""
        method: Callable[..., Any] = getattr(self, self._body(asynchronous=prefers_async(self)))
        return method

    def check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse arguments that the module cannot take, before anything runs.

        Raises:
            SignatureError: an argument is missing or unknown.
        """
        signature = inspect.signature(self._taking())
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise SignatureError(f"{type(self).__name__}{signature}: {error}") from None

    # What it is made of.

    def named_sub_modules(self) -> Iterator[tuple[str, Module]]:
        """Every module in it, itself first as `"self"`, each once, by its attribute path.

        Looks into attributes, and into lists, tuples and dicts in them: `steps[0]`,
        `routes['search'].predict`.
        """
        seen: set[int] = set()
        yield from _walk(self, "self", seen)

    def named_predictors(self) -> list[tuple[str, Predict]]:
        """Every predictor by its attribute path; a bare predictor is called `"self"`."""
        from lmstream_sync.program.predict import Predict

        return [(name, module) for name, module in self.named_sub_modules() if isinstance(module, Predict)]

    def predictors(self) -> list[Predict]:
        """Every predictor."""
        return [predictor for _, predictor in self.named_predictors()]

    def map_named_predictors(self, fn: Callable[[Predict], Predict]) -> Self:
        """Replace every predictor by what `fn` makes of it; gives the module itself."""
        replacements = {id(predictor): fn(predictor) for predictor in self.predictors()}
        for _, module in list(self.named_sub_modules()):
            for name, value in list(vars(module).items()):
                setattr(module, name, _replaced(value, replacements))
        return self

    def set_lm(self, lm: LM | None) -> None:
        """Have every predictor ask this model."""
        for predictor in self.predictors():
            predictor.lm = lm

    def get_lm(self) -> LM | None:
        """The model that all predictors ask.

        Raises:
            ConfigurationError: they ask different ones.
        """
        models = {id(predictor.lm): predictor.lm for predictor in self.predictors()}
        if len(models) > 1:
            raise ConfigurationError("the predictors of this module ask different models")
        return next(iter(models.values()), None)

    def deepcopy(self) -> Self:
        """A copy that shares nothing but the models."""
        shared = {id(predictor.lm): predictor.lm for predictor in self.predictors() if predictor.lm is not None}
        return copy.deepcopy(self, dict(shared))

    def __repr__(self) -> str:
        lines = [f"{name} = {predictor!r}" for name, predictor in self.named_predictors()]
        return "\n".join(lines) or f"{type(self).__name__}()"


def prefers_async(program: Module) -> bool:
    """Whether a module's natural entry is `acall`: of the four methods its author wrote an asynchronous one last."""
    for cls in type(program).__mro__:
        written = [name for name in _FACES if name in vars(cls)]
        if written:
            return "acall" in written or "aforward" in written
    return False


def _walk(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    if isinstance(value, Module):
        if id(value) in seen:
            return
        seen.add(id(value))
        yield path, value
        for name, attribute in vars(value).items():
            yield from _walk(attribute, name if path == "self" else f"{path}.{name}", seen)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]", seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{path}[{key!r}]", seen)


def _replaced(value: Any, replacements: dict[int, Any]) -> Any:
    """The value with every predictor in it replaced."""
    if id(value) in replacements:
        return replacements[id(value)]
    if type(value) in (list, tuple):
        return type(value)(_replaced(item, replacements) for item in value)
    if type(value) is dict:
        return {key: _replaced(item, replacements) for key, item in value.items()}
    return value
