"""A request as the inputs of a program, before any model is called; what does not fit is a 4xx.

Knows bytes and text only: a door brings the body, which it has read up to a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.json_text import read_json
from lmstream_sync.web.program_inputs import ProgramInput, inputs_of

__all__ = ["METHODS", "fit_inputs", "read_inputs", "refuse_method", "refuse_size"]

#: What a program answers to.
METHODS = ("GET", "HEAD", "POST", "OPTIONS")

#: Bytes of a body, unless a door is told otherwise.
MAX_BYTES = 1_000_000

#: Fields of a query or a form.
_MOST_FIELDS = 1000


def read_inputs(
    program: Any,
    *,
    method: str,
    content_type: str | None,
    body: bytes,
    query: str,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any]:
    """The inputs of a program that a request brings: of a POST in its body, else in its query.

    Args:
        program: see `inputs_of`.
        method: `GET`, `POST`…
        content_type: the header of that name: `application/json` (an object), or
            `application/x-www-form-urlencoded`.
        body: the whole body.
        query: the query string, without `?`, as WSGI has it: bytes read as Latin-1.
        max_bytes: of the body, and of the query.

    Raises:
        RequestError: 405, 413, 414, 415; 400 for a body that is no JSON object; 422, with
            `field`, for an input that is missing, unknown or of the wrong type.
        ConfigurationError: the program does not say what it takes.
    """
    return fit_inputs(
        inputs_of(program), method=method, content_type=content_type, body=body, query=query, max_bytes=max_bytes
    )


def fit_inputs(
    takes: Mapping[str, ProgramInput],
    *,
    method: str,
    content_type: str | None,
    body: bytes,
    query: str,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any]:
    """The same, for what `inputs_of` gave: it need not be asked at each request."""
    refuse_method(method)
    if method != "POST":
        if len(query) > max_bytes:
            raise RequestError(414, f"the query is longer than {max_bytes:,} bytes")
        return _fitted(takes, _form(_utf8(query.encode("latin-1", "replace"), "query"), "query"), ProgramInput.of_texts)
    refuse_size(len(body), max_bytes)
    kind, charset = _content_type(content_type)
    if not body and not kind:
        return _fitted(takes, {}, ProgramInput.of_json)
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise RequestError(415, f"the body is sent as {charset!r:.100}; send UTF-8")
    if kind == "application/json":
        return _fitted(takes, _json_object(_utf8(body, "body")), ProgramInput.of_json)
    if kind == "application/x-www-form-urlencoded":
        return _fitted(takes, _form(_utf8(body, "body"), "body"), ProgramInput.of_texts)
    raise RequestError(
        415,
        f"the body is sent as {kind!r:.100}; send a JSON object as application/json",
        headers={"Accept-Post": "application/json, application/x-www-form-urlencoded"},
    )


def refuse_method(method: str) -> None:
    """Raise 405 for a method that no program answers to."""
    if method not in METHODS:
        raise RequestError(
            405, f"{method!r:.50} is not answered here; send GET or POST", headers={"Allow": ", ".join(METHODS)}
        )


def refuse_size(size: int, max_bytes: int) -> None:
    """Raise 413 for a body of more bytes than are taken."""
    if size > max_bytes:
        raise RequestError(413, f"the body is larger than {max_bytes:,} bytes")


def _fitted(takes: Mapping[str, ProgramInput], given: Mapping[str, Any], fit: Any) -> dict[str, Any]:
    for name in given:
        if name not in takes:
            listed = ", ".join(takes) or "none"
            raise RequestError(422, f"{name!r:.100} is no input of this program; it takes {listed}", field=name[:100])
    for name, each in takes.items():
        if each.required and name not in given:
            raise RequestError(422, f"the input {name!r} is missing", field=name)
    return {name: fit(takes[name], value) for name, value in given.items()}


def _content_type(header: str | None) -> tuple[str, str]:
    """The media type and the charset, in lower case; empty where they are not named."""
    kind, *parameters = (header or "").split(";")
    charset = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    return kind.strip().lower(), charset


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = read_json(text)
    except ValueError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(400, 'the body is no JSON object; send the inputs by name, {"question": "Why?"}')
    return value


def _form(text: str, where: str) -> dict[str, list[str]]:
    """Name → what was given for it, of `a=1&b=2` (URL standard, application/x-www-form-urlencoded)."""
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise RequestError(400, f"the {where} is no UTF-8") from None
    except ValueError:
        raise RequestError(400, f"the {where} has more than {_MOST_FIELDS:,} fields") from None


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(400, f"the {where} is no UTF-8") from None
