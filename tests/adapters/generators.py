"""Random signatures and random values for them, each made from a number alone, so that any can be made again."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import random
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Optional, Union

import pydantic
from typing_extensions import TypedDict

import lmstream_sync as lms
from lmstream_sync.signatures import SignatureMeta
from tests.adapters.texts import text

#: So many different signatures; making one costs more than reading a reply.
SIGNATURES = 300

NAMES = (
    *("answer", "answers", "answer_2", "a", "aa", "b", "score", "reasoning", "completed", "html", "p", "lt", "amp"),
    *("next_thought", "CDATA", "items", "text", "true", "null", "हिन्दी", "名前", "été", "_x"[1:], "field"),
)


class Colour(enum.Enum):
    RED = "red"
    DARK_GREEN = "dark green"
    LESS = "<b>"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(pydantic.BaseModel):
    x: int
    label: str


class Order(pydantic.BaseModel):
    buyer: str
    due: datetime.date
    colour: Colour
    points: list[Point] = []
    notes: Optional[dict[str, str]] = None  # noqa: UP045  # as users write it


class Place(TypedDict):
    town: str
    open: bool


@dataclasses.dataclass
class Box:
    label: str
    sizes: list[float]


class Made(NamedTuple):
    """A type and what makes values of it.

    Attributes:
        annotation: the type.
        value: makes a value.
        text: whether it is `str`.
        may_be_absent: whether it allows `None`.
    """

    annotation: Any
    value: Callable[[random.Random, str], Any]
    text: bool = False
    may_be_absent: bool = False


def _some_text(dice: random.Random, name: str) -> str:
    """A text for which its type does not give `None`."""
    made = text(dice, name)
    return made if made.strip().lower() not in ("", "none", "null", "n/a") else "x"


def _listed(one: Callable[[random.Random, str], Any], most: int = 4) -> Callable[[random.Random, str], list[Any]]:
    return lambda dice, name: [one(dice, name) for _ in range(dice.randint(0, most))]


def _int(dice: random.Random, name: str) -> int:
    return dice.choice((0, 1, -1, dice.randint(-999, 999), dice.randint(-(10**30), 10**30)))


def _float(dice: random.Random, name: str) -> float:
    return dice.choice(
        (0.0, -0.5, 1e300, 5e-324, dice.uniform(-1, 1), dice.uniform(-1e9, 1e9), float(dice.randint(-9, 9)))
    )


def _date(dice: random.Random, name: str) -> datetime.date:
    return datetime.date.fromordinal(dice.randint(1, 3_000_000))


def _counts(dice: random.Random, name: str) -> dict[str, int]:
    return {text(dice, name): _int(dice, name) for _ in range(dice.randint(0, 3))}


def _point(dice: random.Random, name: str) -> Point:
    return Point(x=_int(dice, name), label=text(dice, name))


def _order(dice: random.Random, name: str) -> Order:
    return Order(
        buyer=text(dice, name),
        due=_date(dice, name),
        colour=dice.choice(list(Colour)),
        points=_listed(_point, 2)(dice, name),
        notes=dice.choice((None, {}, {text(dice, name): text(dice, name)})),
    )


def _either(*some: Callable[[random.Random, str], Any]) -> Callable[[random.Random, str], Any]:
    return lambda dice, name: dice.choice(some)(dice, name)


def _one_of(*values: Any) -> Callable[[random.Random, str], Any]:
    return lambda dice, name: dice.choice(values)


_nothing = _one_of(None)

TEXT = Made(str, text, text=True)
TYPES = (
    Made(int, _int),
    Made(float, _float),
    Made(bool, _one_of(True, False)),
    Made(Literal["yes", "no", "not sure", "<b>", "naïve"], _one_of("yes", "no", "not sure", "<b>", "naïve")),
    Made(Literal[1, 2, 3], _one_of(1, 2, 3)),
    Made(Colour, _one_of(*Colour)),
    Made(Level, _one_of(*Level)),
    Made(Optional[int], _either(_int, _nothing), may_be_absent=True),  # noqa: UP045
    Made(str | None, _either(_some_text, _nothing), may_be_absent=True),
    Made(Optional[Order], _either(_order, _nothing), may_be_absent=True),  # noqa: UP045
    Made(list[str], _listed(text)),
    Made(list[int], _listed(_int, 12)),
    Made(list[list[float]], _listed(_listed(_float))),
    Made(dict[str, int], _counts),
    Made(dict[str, Any], lambda dice, name: {text(dice, name): dice.choice((None, True, [1, {}], text(dice, name)))}),
    Made(datetime.date, _date),
    Made(
        datetime.datetime,
        lambda dice, name: datetime.datetime.combine(_date(dice, name), datetime.time(dice.randrange(24))),
    ),
    Made(Point, _point),
    Made(Order, _order),
    Made(list[Order], _listed(_order, 2)),
    Made(Union[int, list[str]], _either(_int, _listed(text))),  # noqa: UP007
    Made(Point | int, _either(_point, _int)),
    Made(decimal.Decimal, lambda dice, name: decimal.Decimal(_int(dice, name)).scaleb(-dice.randint(0, 8))),
    Made(datetime.time, lambda dice, name: datetime.time(dice.randrange(24), dice.randrange(60), dice.randrange(60))),
    Made(tuple[int, str], lambda dice, name: (_int(dice, name), text(dice, name))),
    Made(set[int], lambda dice, name: set(_listed(_int)(dice, name))),
    Made(list[Colour], _listed(_one_of(*Colour))),
    Made(list[Literal["a", "b c"]], _listed(_one_of("a", "b c"))),
    Made(dict[str, list[Point]], lambda dice, name: {text(dice, name): _listed(_point, 2)(dice, name)}),
    Made(list[str | None], _listed(_either(_some_text, _nothing))),
    Made(list[int | str], _listed(_either(_int, _some_text))),
    Made(Place, lambda dice, name: {"town": text(dice, name), "open": dice.random() < 0.5}),
    Made(Box, lambda dice, name: Box(text(dice, name), _listed(_float)(dice, name))),
)


class Absent(NamedTuple):
    """What stands for a field that a reply lacks: the text that streams, and the value."""

    text: str
    value: Any


class Shape(NamedTuple):
    """A signature, what makes values for its output fields, and which of them a reply may lack."""

    signature: SignatureMeta
    fields: dict[str, Made]
    absent: dict[str, Absent]


@functools.cache
def shape(number: int) -> Shape:
    """A random signature of one to six output fields."""
    dice = random.Random(f"signature {number}")
    names = dice.sample(NAMES, dice.randint(1, 6))
    fields = {name: TEXT if dice.random() < 0.45 else dice.choice(TYPES) for name in names}
    absent: dict[str, Absent] = {}
    spec: dict[str, Any] = {"question": (str, lms.InputField())}
    for name, made in fields.items():
        options: dict[str, Any] = {}
        if made.may_be_absent:
            absent[name] = Absent("", None)
        if dice.random() < 0.1:
            default = made.value(dice, name)
            absent[name] = Absent(default if type(default) is str else "", default)
            made_anew = dice.random() < 0.5
            options = {"default_factory": functools.partial(_same, default)} if made_anew else {"default": default}
        spec[name] = (made.annotation, lms.OutputField(**options))
    return Shape(lms.Signature(spec), fields, absent)


def _same(value: Any) -> Any:
    return value


def values(dice: random.Random, of: Shape) -> dict[str, Any]:
    """A value for each output field; some of those that a reply may lack are left out."""
    names = tuple(of.fields)
    made: dict[str, Any] = {}
    for name, field in of.fields.items():
        # Left out, a field named so would be found in the marker that ends the reply.
        if name in of.absent and name != "completed" and dice.random() < 0.2:
            continue
        made[name] = text(dice, name, names) if field.text else field.value(dice, name)
    return made
