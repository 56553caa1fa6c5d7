"""`Timeout`: how long each kind of waiting may last. Values only, no clocks."""

from __future__ import annotations

from typing import Final

from lmstream_sync.errors import ConfigurationError

__all__ = ["Timeout"]

_DEFAULTS: Final[dict[str, float | None]] = {
    "connect": 10.0,
    "first": 120.0,
    "idle": 300.0,
    "total": None,
    "reader": 300.0,
}


class _Unset:
    """Marks a field that was not given, so that a wider `Timeout` may supply it."""

    def __repr__(self) -> str:
        return "unset"


_UNSET: Final = _Unset()


class Timeout:
    """Deadlines in seconds; `None` switches one off.

    `Timeout(...)` may stand in `lms.context(timeout=...)`, `streamify(timeout=...)`,
    `LM(timeout=...)` and `lms.configure(timeout=...)`; in that order one beats the next,
    field by field: a field that was not given leaves the word to the next. A plain number
    in one of these places means `Timeout(total=number)`.

    Args:
        connect: the engine's HTTP connection to the provider.
        first: from when a model request is sent to its first token, retries and their
            pauses included.
        idle: ends a call in which nothing moves: no provider byte, no event, no start or
            end of a tool, model or module. It stands still while the task waits for a
            slow reader or for a model's first token.
        total: from the call to its end.
        reader: how long the task waits for a reader who does not read.

    Raises:
        ConfigurationError: a value is no positive number.
    """

    # Plain attributes: each is asked for several times a call.
    __slots__ = ("_given", "connect", "first", "idle", "reader", "total")

    connect: float | None
    first: float | None
    idle: float | None
    total: float | None
    reader: float | None
    _given: dict[str, float | None]

    def __init__(
        self,
        connect: float | None | _Unset = _UNSET,
        first: float | None | _Unset = _UNSET,
        idle: float | None | _Unset = _UNSET,
        total: float | None | _Unset = _UNSET,
        reader: float | None | _Unset = _UNSET,
    ) -> None:
        given: dict[str, float | None] = {}
        values = {"connect": connect, "first": first, "idle": idle, "total": total, "reader": reader}
        for name, value in values.items():
            if isinstance(value, _Unset):
                continue
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
                raise ConfigurationError(
                    f"Timeout({name}={value!r}): give a positive number of seconds, or None for no limit"
                )
            given[name] = None if value is None else float(value)
        object.__setattr__(self, "_given", given)
        for name, default in _DEFAULTS.items():
            object.__setattr__(self, name, given.get(name, default))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Timeout does not change; make a new one")

    def given(self, name: str) -> bool:
        """Whether a field was set here, rather than left to its default."""
        return name in self._given

    def over(self, wider: Timeout | None) -> Timeout:
        """This one's given fields, and for the others those of a wider one."""
        if wider is None or wider is self or not wider._given:
            return self
        if not self._given:
            return wider
        return Timeout(**{**wider._given, **self._given})

    @classmethod
    def of(cls, value: Timeout | float | None) -> Timeout | None:
        """A `Timeout` from what a user may write: itself, a number for `total`, or `None`.

        Raises:
            ConfigurationError: it is something else.
        """
        if value is None or isinstance(value, Timeout):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigurationError(f"timeout={value!r}: give seconds, or lms.Timeout(first=..., idle=..., total=...)")
        return cls(total=value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._given == other._given

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._given.items())))

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={value}' for name, value in self._given.items())})"
