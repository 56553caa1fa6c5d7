"""`StreamListener`: which output field of which predictor a reader wants to see.

A listener is a template and keeps no state; a call binds it to a predictor (`Bound`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lmstream_sync.errors import ConfigurationError, ListenerError
from lmstream_sync.program import Module
from lmstream_sync.signatures import Field
from lmstream_sync.streaming.granularity import check_field, check_word, warm_up_field

__all__ = ["Bound", "StreamListener", "bind", "every_field"]


class StreamListener:
    """Asks for one output field of one predictor of a program.

    Args:
        signature_field_name: the output field.
        predict: the predictor itself, where several have the field.
        predict_name: or its name, as `program.named_predictors()` says.
        allow_reuse: stream each run of the predictor in a call; else only the first.
        granularity: what the chunks are.
            `"text"`: pieces of the field's text as they come.
            `"item"`: the completed items of a list, each as its type has it (an instance of a
            pydantic model), or the plain value where it does not fit. An item comes as soon as
            the comma or the bracket after it shows whether it is the last; one piece of the
            reply may complete several, each an event of its own. A list that ends without a
            further item (an empty one) ends with a chunk `None`.
            `"value"`: the value so far, out of plain dicts, lists and strings, not validated, at
            most once a piece. Each chunk is the same object, which grows when the next is
            handed out: `copy.deepcopy` what you keep. Numbers, `true`, `null` and keys show
            when they are complete; so does a value that is neither list nor object.

    Where a model gives several choices (`n=`), the first is streamed.

    With `"item"` and `"value"`, text that is no plain JSON (single quotes, a comment, an end cut
    off) is understood at the field's end, as it is for the Prediction; where what was given
    does not agree with that, a `StreamRestart` of the field comes, and all of it anew.

    Raises:
        ConfigurationError: an argument that cannot work.
    """

    def __init__(
        self,
        signature_field_name: str,
        predict: Any = None,
        predict_name: str | None = None,
        allow_reuse: bool = False,
        granularity: Literal["text", "item", "value"] = "text",
    ) -> None:
        if not isinstance(signature_field_name, str) or not signature_field_name:
            raise ConfigurationError(f"StreamListener({signature_field_name!r}): give the output field's name")
        check_word(granularity)
        self.signature_field_name = signature_field_name
        self.predict = predict
        self.predict_name = predict_name
        self.allow_reuse = allow_reuse
        self.granularity = granularity

    def __repr__(self) -> str:
        name = f", predict_name={self.predict_name!r}" if self.predict_name else ""
        grain = f", granularity={self.granularity!r}" if self.granularity != "text" else ""
        return f"StreamListener({self.signature_field_name!r}{name}{grain})"


@dataclass(frozen=True)
class Bound:
    """A listener and the predictor it was found to mean.

    Attributes:
        field: the output field.
        predictor: the predictor, or `None` to take the first at run time that has the field.
        name: the predictor's name in events.
        allow_reuse: whether each run streams.
        granularity: `"text"`, `"item"` or `"value"`.
    """

    field: str
    predictor: Any
    name: str
    allow_reuse: bool
    granularity: str = "text"

    def check(self, field: Field) -> None:
        """Raises a `ListenerError` where the field's type has nothing of this granularity; makes its validators."""
        if self.granularity != "text":
            check_field(self.granularity, field, f"StreamListener({self.field!r}, granularity={self.granularity!r})")
            warm_up_field(field)


def bind(program: Any, listeners: Sequence[StreamListener]) -> tuple[Bound, ...]:
    """Find the predictor of each listener.

    Raises:
        ListenerError: no predictor has the field, or several and none was named; its type has
            no items, or no partial value; two listeners want the same field in different ways.
        ConfigurationError: something in the list is no listener.
    """
    if isinstance(listeners, (StreamListener, str)):
        raise ConfigurationError(f"stream_listeners={listeners!r}: give a list, [lms.StreamListener('the_field')]")
    for listener in listeners:
        if not isinstance(listener, StreamListener):
            raise ConfigurationError(
                f"stream_listeners holds {listener!r}; give lms.StreamListener('the_field') objects"
            )
    if not isinstance(program, Module):
        # Nothing tells the names of a function's predictors: those that are given are numbered.
        given: dict[int, str] = {}
        for each in listeners:
            if each.predict is not None and not each.predict_name:
                given.setdefault(id(each.predict), f"self[{len(given)}]" if given else "self")
        return _checked(
            Bound(
                each.signature_field_name,
                each.predict,
                each.predict_name or given.get(id(each.predict), "self"),
                each.allow_reuse,
                each.granularity,
            )
            for each in listeners
        )
    predictors = list(program.named_predictors())
    return _checked(_bind_one(program, predictors, listener) for listener in listeners)


def _checked(every: Iterable[Bound]) -> tuple[Bound, ...]:
    """The same; refused are a field that two listeners want in different ways, and one that has no such granularity."""
    bound = tuple(every)
    ways: dict[tuple[str, int, str], str] = {}
    for each in bound:
        way = ways.setdefault((each.name, id(each.predictor), each.field), each.granularity)
        if way != each.granularity:
            raise ListenerError(
                f"two listeners want {each.field!r} of {each.name}, as granularity={way!r} and "
                f"{each.granularity!r}; give one of them (stream.text() and stream.partial have the text in any case)"
            )
        signature = getattr(each.predictor, "signature", None)
        if signature is not None and each.field in signature.output_fields:
            each.check(signature.output_fields[each.field])
    return bound


def _bind_one(program: Any, predictors: list[tuple[str, Any]], listener: StreamListener) -> Bound:
    field = listener.signature_field_name
    having = [(name, each) for name, each in predictors if field in each.signature.output_fields]
    if listener.predict is not None:
        found = [(name, each) for name, each in predictors if each is listener.predict]
        wanted = "a predictor like that given with predict="
    elif listener.predict_name is not None:
        found = [(name, each) for name, each in predictors if name == listener.predict_name]
        wanted = f"a predictor named {listener.predict_name!r}"
    else:
        found, wanted = having, ""
    if wanted and not found:
        raise ListenerError(
            f"{listener!r}: {type(program).__name__} has no {wanted.removeprefix('a ')}; "
            f"it has {_listed(name for name, _ in predictors)}"
        )
    if wanted and field not in found[0][1].signature.output_fields:
        raise ListenerError(f"{listener!r}: {_why_not(field, found)}; its output fields are {_fields_of(found)}")
    if not found:
        raise ListenerError(
            f"{listener!r}: {_why_not(field, predictors)}; the output fields of {type(program).__name__} are "
            f"{_fields_of(predictors)}"
        )
    if len(found) > 1:
        raise ListenerError(
            f"{listener!r}: several predictors have the output field {field!r}: {_listed(name for name, _ in found)}; "
            f"name one with StreamListener({field!r}, predict_name=...)"
        )
    name, predictor = found[0]
    return Bound(field, predictor, name, listener.allow_reuse, listener.granularity)


def _why_not(field: str, predictors: list[tuple[str, Any]]) -> str:
    if any(field in each.signature.input_fields for _, each in predictors):
        return f"{field!r} is an input field, and only output fields stream"
    return f"no predictor has an output field {field!r}"


def _fields_of(predictors: list[tuple[str, Any]]) -> str:
    return _listed(f"{field} (of {name})" for name, each in predictors for field in each.signature.output_fields)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def every_field(program: Any) -> tuple[Bound, ...]:
    """Every output field of every predictor of a module, each run."""
    return tuple(
        Bound(field, predictor, name, True)
        for name, predictor in program.named_predictors()
        for field in predictor.signature.output_fields
    )
