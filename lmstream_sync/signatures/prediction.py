"""`Prediction`: what a program gives back. The interface is DSPy's, with `raw` and `cost` added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmstream_sync.signatures.example import Example
from lmstream_sync.signatures.values import text_of

__all__ = ["Completions", "Prediction"]


class Prediction(Example):
    """The output fields of a program as attributes and items: `prediction.answer`.

    With a field `score` predictions compare and add up by it, as in DSPy. A field wins over
    a property of the same name (`completions`, `cost`).
    """

    _completions: Completions | None
    _lm_usage: dict[str, Any] | None
    #: US dollars, or what looks them up.
    _cost: float | Callable[[], float | None] | None
    _raw: dict[str, str]

    def __init__(self, base: Mapping[str, Any] | Example | None = None, **fields: Any) -> None:
        super().__init__(base, **fields)
        self.__dict__.update(_completions=None, _lm_usage=None, _cost=None, _raw={})

    @classmethod
    def from_completions(
        cls,
        list_or_dict: Sequence[Mapping[str, Any]] | Mapping[str, list[Any]],
        signature: Any = None,
        raw: Sequence[Mapping[str, str]] = (),
    ) -> Prediction:
        """The prediction of one or more answers: a list of dicts, or a dict of lists.

        Its fields are those of the first answer; `completions` has them all. `raw` has for
        each answer the fields' texts as they stood in the reply.
        """
        made = cls() if cls is not Prediction else object.__new__(cls)  # all that `__init__` does is done below
        completions = Completions(list_or_dict, signature=signature, raw=raw)
        made.__dict__.update(
            _input_keys=None,
            _completions=completions,
            _lm_usage=None,
            _cost=None,
            _raw=dict(raw[0]) if raw else {},
            _store={name: values[0] for name, values in completions._columns.items() if values},
        )
        return made

    @property
    def completions(self) -> Any:
        """All answers of a run with `n > 1`, or `None` where the prediction was not made of answers."""
        return self._store.get("completions", self._completions)

    @property
    def cost(self) -> float | None:
        """What the model calls cost in US dollars, or `None` where that is not known."""
        told = self._store.get("cost", self._cost)
        found: float | None = told() if callable(told) else told
        return found

    def raw(self, field: str) -> str:
        """A field's text as it stood in the model's reply: what its chunks joined together give.

        Raises:
            KeyError: there is no such field.
        """
        if field in self._raw:
            return self._raw[field]
        if field not in self._store:
            raise KeyError(f"the prediction has no field {field!r}; it has {', '.join(self._store) or 'none'}")
        value = self._store[field]
        if isinstance(value, str):
            return value
        # The reply lacked it and the value is its default; a prediction of no reply shows its value.
        return "" if self._raw or value is None else text_of(value)

    def labels(self) -> Prediction:
        """All fields but the inputs; all of them where no inputs were named."""
        return self.without(*(self._input_keys or ()))

    def get_lm_usage(self) -> dict[str, Any]:
        """Model → token counts, where `track_usage` was set; else empty."""
        return self._lm_usage or {}

    def set_lm_usage(self, value: dict[str, Any] | None) -> None:
        """Set what `get_lm_usage` gives."""
        self._lm_usage = value

    def _set_raw(self, texts: Mapping[str, str]) -> None:
        """Set each field's text as it stood in the reply."""
        self._raw = dict(texts)

    def _set_cost(self, cost: float | Callable[[], float | None] | None) -> None:
        """Set what `cost` gives, or what looks it up when somebody asks."""
        self.__dict__["_cost"] = cost

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("completions", "cost"):
            self._store[name] = value
        else:
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        fields = ",\n    ".join(f"{name}={value!r}" for name, value in self._store.items())
        more = len(self._completions) - 1 if self._completions is not None else 0
        return f"Prediction(\n    {fields}\n)" + (f" ({more} more completions)" if more > 0 else "")

    # Equality is by fields (`Example`), order and arithmetic by `score`.

    def __float__(self) -> float:
        if "score" not in self._store:
            raise ValueError("a Prediction is a number only by a field 'score', and this one has none")
        return float(self._store["score"])

    def __add__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) + number

    def __radd__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else number + float(self)

    def __truediv__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) / number

    def __rtruediv__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else number / float(self)

    def __lt__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) < number

    def __le__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) <= number

    def __gt__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) > number

    def __ge__(self, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else float(self) >= number


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float, Prediction)) else None


class Completions:
    """Several answers of one run: `completions[0]` is one as a Prediction, `completions.answer` a list."""

    def __init__(
        self,
        list_or_dict: Sequence[Mapping[str, Any]] | Mapping[str, list[Any]],
        signature: Any = None,
        raw: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.signature = signature
        self._raw = list(raw)
        self._columns: dict[str, list[Any]] = {}
        if isinstance(list_or_dict, list) and len(list_or_dict) == 1:  # what most runs give
            self._columns = {name: [value] for name, value in list_or_dict[0].items()}
            return
        if isinstance(list_or_dict, Mapping):
            self._columns.update(list_or_dict)
        else:
            for answer in list_or_dict:
                for name, value in answer.items():
                    self._columns.setdefault(name, []).append(value)
        if len({len(values) for values in self._columns.values()}) > 1:
            raise ValueError("every completion must have the same fields")

    def items(self) -> list[tuple[str, list[Any]]]:
        """Pairs of field name and its values, one for each answer."""
        return list(self._columns.items())

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return self._columns[key]
        if not -len(self) <= key < len(self):
            raise IndexError("there is no such completion")
        made = Prediction({name: values[key] for name, values in self._columns.items()})
        if self._raw:
            made._set_raw(self._raw[key])
        return made

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._columns:
            return self._columns[name]
        raise AttributeError(f"'Completions' object has no field or attribute {name!r}")

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return f"Completions({self._columns!r})"
