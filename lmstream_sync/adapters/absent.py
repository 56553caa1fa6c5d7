"""Output fields that a reply lacks: which may be absent, and what text each has then.

A field may be absent that has a default, or whose type allows `None`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lmstream_sync.adapters.reader import FieldDelta
from lmstream_sync.signatures.annotations import members
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.signatures.values import is_optional

__all__ = ["deltas_of_absent_fields", "may_be_absent", "texts_of_absent_fields"]


def may_be_absent(field: Field) -> bool:
    """Whether a reply may lack a field."""
    return field.has_default or is_optional(field.annotation)


@remembered
def texts_of_absent_fields(signature: SignatureMeta) -> Mapping[str, str | Callable[[], Any]]:
    """The output fields that a reply may lack, each with the text it has then: that of its default, else none.

    Or what makes that text: a text that is made anew each time must be made once a reply, by
    its reader, so that the value is what was streamed.
    """
    return {name: _text(field) for name, field in signature.output_fields.items() if may_be_absent(field)}


def deltas_of_absent_fields(
    names: Iterable[str], absent: Mapping[str, str | Callable[[], Any]], fields: dict[str, str]
) -> list[FieldDelta]:
    """The one delta that each field gets that is absent and may be.

    Args:
        names: the fields that the reply lacks.
        absent: see `texts_of_absent_fields`.
        fields: gets the texts that are made here, as the value is this text, not made a second time.
    """
    deltas: list[FieldDelta] = []
    for name in names:
        if name not in absent:
            continue
        text = absent[name]
        if not isinstance(text, str):
            made = text()
            text = made if isinstance(made, str) else ""
            if isinstance(made, str):
                fields[name] = made
        deltas.append(FieldDelta(name, text, True))
    return deltas


def _text(field: Field) -> str | Callable[[], Any]:
    if field.default_factory is not None:
        return field.default_factory if any(map(_may_be_text, members(field.annotation))) else ""
    return field.default if isinstance(field.default, str) else ""


def _may_be_text(annotation: Any) -> bool:
    """Whether values of a type may be strings, which are their own text."""
    if typing.get_origin(annotation) is typing.Literal:
        return any(isinstance(one, str) for one in typing.get_args(annotation))
    return annotation in (Any, object) or (isinstance(annotation, type) and issubclass(annotation, str))
