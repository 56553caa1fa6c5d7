"""The types of fields as pydantic understands them: validators, JSON schemas, and what no reply can express.

pydantic is loaded when the first signature with a typed field is made, in the thread that
makes it (`prepare`); reading happens on the event-loop thread, where nothing is imported.
"""

from __future__ import annotations

import contextlib
import functools
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

from lmstream_sync.errors import SignatureError
from lmstream_sync.signatures.annotations import inexpressible, members, prompt_types, type_name
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.typed_dicts import understood

__all__ = ["in_one_line", "json_schema", "prepare", "validator"]


def prepare(field: Field) -> None:
    """Load and build, now and in this thread, what reading a field will need.

    Raises:
        SignatureError: an output field is of a type that no reply can express.
    """
    if field.kind == "input":
        if prompt_types(field.annotation):
            validator(field.annotation)
        return
    if field.annotation is str and not field.constraints:
        return
    import json_repair  # noqa: F401
    import pydantic
    import pydantic_core

    wrong = inexpressible(field.annotation)
    if wrong is not None:
        raise _inexpressible(field, wrong)
    complaint = ""
    try:
        built = _built(field.annotation, tuple(field.constraints.items()))
        json_schema(field.annotation)
        if field.constraints:
            _try_out(built, members(field.annotation))
    except pydantic.errors.PydanticSchemaGenerationError:
        wrong = _first_unknown(field.annotation)
    except pydantic.errors.PydanticUndefinedAnnotation:
        return  # a class that stands further down
    except pydantic.errors.PydanticUserError as error:
        complaint = error.message.splitlines()[0]
    except (TypeError, RuntimeError, pydantic_core.SchemaError) as error:
        complaint = " ".join(str(error).split())
    if wrong is not None:
        raise _inexpressible(field, wrong)
    if complaint:
        raise SignatureError(f"the output field {field.name!r} has a type that does not work: {complaint}")


def validator(annotation: Any, constraints: Mapping[str, Any] | None = None) -> Callable[[Any], Any]:
    """A function that makes a valid value of a type, or raises a `ValueError` of one line."""
    return functools.partial(_validated, _built(annotation, tuple((constraints or {}).items()), lenient=True))


def json_schema(annotation: Any) -> str:
    """The JSON schema of a type as compact JSON; empty where it has none."""
    import pydantic

    try:
        return _json_schema(annotation)
    except pydantic.errors.PydanticUserError:
        return ""
    except TypeError:  # something in it has no hash
        return ""


def in_one_line(errors: Any) -> str:
    """What is wrong with a value, of a `pydantic.ValidationError`."""
    found = errors.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        ": ".join(
            [
                *[".".join(str(part) for part in one["loc"])] * bool(one["loc"]),
                " ".join(one["msg"].removeprefix("Value error, ").split()),
            ]
        )
        for one in found
    ]
    return "; ".join(shown[:3]) + (f" (and {len(shown) - 3} more)" if len(shown) > 3 else "")


@functools.lru_cache(maxsize=512)
def _json_schema(annotation: Any) -> str:
    import pydantic

    return json.dumps(pydantic.TypeAdapter(understood(annotation)).json_schema(), ensure_ascii=False)


def _built(annotation: Any, constraints: tuple[tuple[str, Any], ...], *, lenient: bool = False) -> Any:
    """pydantic's adapter for a type; `lenient` knows classes that pydantic does not, by their instances."""
    import pydantic

    try:
        return _cached_adapter(annotation, constraints)
    except TypeError:  # something in it has no hash
        return _adapter(annotation, constraints)
    except pydantic.errors.PydanticSchemaGenerationError:
        if not lenient:
            raise
    return _adapter(annotation, constraints, config=pydantic.ConfigDict(arbitrary_types_allowed=True))


def _adapter(annotation: Any, constraints: tuple[tuple[str, Any], ...], **options: Any) -> Any:
    import pydantic  # in memory since `prepare`

    known: Any = understood(annotation)
    kept: Any = typing.Annotated[known, pydantic.Field(**dict(constraints))] if constraints else known
    return pydantic.TypeAdapter(kept, **options)


_cached_adapter = functools.lru_cache(maxsize=512)(_adapter)


def _validated(adapter: Any, value: Any) -> Any:
    import pydantic

    cause: Exception | None = None
    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        complaint = in_one_line(error)
    except RecursionError:
        complaint = "it is nested too deeply"
    except Exception as error:  # a user's own validator that met what it did not expect
        complaint, cause = f"its validation raised {type(error).__name__}: {' '.join(str(error).split())}", error
    raise ValueError(complaint) from cause


def _try_out(adapter: Any, kinds: set[Any]) -> None:
    """Raise the `TypeError` of a constraint that does not go with a type; pydantic meets it with a value only."""
    import pydantic

    for kind in kinds & {str, int, float, bool}:
        with contextlib.suppress(pydantic.ValidationError):
            adapter.validate_python(kind())


def _first_unknown(annotation: Any) -> Any:
    """The class within an annotation that pydantic knows nothing of, or that holds such a class."""
    import pydantic

    for one in typing.get_args(annotation):
        try:
            if isinstance(one, type) or typing.get_origin(one) is not None:
                pydantic.TypeAdapter(one)
        except pydantic.errors.PydanticSchemaGenerationError:
            return _first_unknown(one)
        except (pydantic.errors.PydanticUserError, TypeError):
            continue
    return annotation


def _inexpressible(field: Field, wrong: Any) -> SignatureError:
    whole = type_name(field.annotation)
    within = "" if wrong is field.annotation else f" (in {whole})"
    return SignatureError(
        f"the output field {field.name!r} cannot be of the type {type_name(wrong)}{within}: a reply is text, and no "
        f"text stands for such a value; use str, a number, a list or dict of these, an enum, a dataclass or a "
        f"pydantic model"
    )
