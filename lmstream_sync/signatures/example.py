"""`Example`: a record of fields, some of them marked as inputs. The interface is DSPy's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lmstream_sync.signatures.plain import plain

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Example"]


class Example:
    """A record whose fields are attributes and items: `example.question`, `example["question"]`.

    Args:
        base: a dict or another example whose fields are copied first.
        fields: fields, which win over those of `base`.
    """

    _store: dict[str, Any]
    _input_keys: frozenset[str] | None

    def __init__(self, base: Mapping[str, Any] | Example | None = None, **fields: Any) -> None:
        store: dict[str, Any] = {}
        inputs: frozenset[str] | None = None
        if isinstance(base, Example):
            store.update(base._store)
            inputs = base._input_keys
        elif base:
            store.update(base)
        store.update(fields)
        # Past `__setattr__`, which looks each name up: records are made all the time.
        self.__dict__.update(_store=store, _input_keys=inputs)

    def __getattr__(self, name: str) -> Any:
        # Names with an underscore are never fields, and looking for `_store` in itself has no end.
        if not name.startswith("_") and name in self._store:
            return self._store[name]
        raise AttributeError(f"{type(self).__name__!r} object has no field or attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            self._store[name] = value

    def __delattr__(self, name: str) -> None:
        if name in self._store:
            del self._store[name]
        else:
            super().__delattr__(name)

    def __getitem__(self, name: str) -> Any:
        return self._store[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._store[name] = value

    def __delitem__(self, name: str) -> None:
        del self._store[name]

    def __contains__(self, name: object) -> bool:
        return name in self._store

    def __iter__(self) -> Iterator[str]:
        return iter(self._store)

    def __len__(self) -> int:
        return len(self._store)

    def __bool__(self) -> bool:
        return True  # a record without fields is still there

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._store]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Example) and self._store == other._store

    def __hash__(self) -> int:
        # A value that has no hash (a list) counts by its field's name alone: equal records still agree.
        return hash(frozenset((name, _hash_or_none(value)) for name, value in self._store.items()))

    def __repr__(self) -> str:
        inputs = sorted(self._input_keys) if self._input_keys is not None else None
        return f"{type(self).__name__}({self._store!r}) (input_keys={inputs})"

    def keys(self) -> list[str]:
        """The fields' names."""
        return list(self._store)

    def values(self) -> list[Any]:
        """The fields' values."""
        return list(self._store.values())

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and value."""
        return list(self._store.items())

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value, or `default` where there is none."""
        return self._store.get(name, default)

    def copy(self, **changes: Any) -> Self:
        """A copy, with fields added or replaced."""
        made = self._with(dict(self._store))
        made._store.update(changes)
        return made

    def without(self, *names: str) -> Self:
        """A copy that lacks some fields."""
        return self._with({name: value for name, value in self._store.items() if name not in names})

    def with_inputs(self, *names: str) -> Self:
        """A copy in which these fields are the inputs and the others the labels."""
        made = self.copy()
        made._input_keys = frozenset(names)
        return made

    def inputs(self) -> Self:
        """The input fields only.

        Raises:
            ValueError: `with_inputs` never said which they are.
        """
        keys = self._input_keys
        if keys is None:
            raise ValueError("which fields are inputs is not known; say so: example.with_inputs('question')")
        return self._with({name: value for name, value in self._store.items() if name in keys})

    def labels(self) -> Self:
        """The fields that are no inputs.

        Raises:
            ValueError: `with_inputs` never said which are inputs.
        """
        return self.without(*self.inputs().keys())

    def toDict(self) -> dict[str, Any]:  # DSPy's name
        """The fields as a dict; records and models inside become dicts too."""
        return {name: plain(value) for name, value in self._store.items()}

    def _with(self, store: dict[str, Any]) -> Self:
        """A record like this one with other fields."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._store = store
        return made


def _hash_or_none(value: object) -> int | None:
    try:
        return hash(value)
    except TypeError:
        return None
