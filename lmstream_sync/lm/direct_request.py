"""What is sent to an endpoint that speaks OpenAI's chat completions: address, headers, body. Pure.

The environment is read for keys and addresses. What is made here holds secrets in the
open: it is made in the frame that sends it and kept by none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.arguments import as_key
from lmstream_sync.lm.endpoints import (
    TRANSPORT,
    Endpoint,
    base_of,
    endpoint_of,
    joined_to,
    key_of,
    said,
    takes_completion_tokens,
)
from lmstream_sync.lm.engine import LMRequest
from lmstream_sync.lm.json_decoding import as_json
from lmstream_sync.lm.secrets import hide, reveal, scrub

__all__ = ["Outgoing", "base_address", "outgoing", "place_of", "shown_base", "without_user"]


class Outgoing(NamedTuple):
    """A request as it goes out."""

    url: str
    headers: dict[str, str]
    body: bytes


def base_address(request: LMRequest) -> str:
    """Where requests of this kind go, as `api_base` would say it; may hold a secret.

    Raises:
        ConfigurationError: nobody says where.
    """
    given = reveal(request.options.get("api_base") or request.options.get("base_url"))
    return _base(request.model, endpoint_of(request.model)[1], given)


def _base(model: str, endpoint: Endpoint | None, given: str | None) -> str:
    base = base_of(endpoint, given)
    if base is None:
        raise ConfigurationError(f"LM({model!r}): say where it is with api_base=")
    return base


def shown_base(request: LMRequest) -> str:
    """`base_address` without a user and what looks like a key in its query."""
    given = request.options.get("api_base") or request.options.get("base_url")
    return str(given) if given else scrub(base_address(request), ())


def place_of(request: LMRequest) -> str:
    """Host and port of where a request goes, which are no secret."""
    parts = urlsplit(base_address(request))
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def outgoing(request: LMRequest, *, path: str, stream: bool, usage: bool) -> Outgoing:
    """A request with its secrets.

    Args:
        request: what is asked.
        path: below the base address, `"/chat/completions"`.
        stream: whether a streamed reply is asked for.
        usage: whether the stream shall report its usage.

    Raises:
        ConfigurationError: an option has no JSON form.
    """
    prefix, endpoint, name = endpoint_of(request.model)
    options = reveal(request.options)
    base = _base(request.model, endpoint, options.get("api_base") or options.get("base_url"))
    url, basic = _address(base, path, options)
    # One that was given was looked at where it was.
    key = options.get("api_key") or reveal(as_key(hide(key_of(endpoint), "api_key")))
    headers = _headers(request.model, prefix, key, basic, options)
    body: dict[str, Any] = {"model": name, "messages": request.messages}
    if endpoint is not None:
        body |= endpoint.body
    for key, value in options.items():
        if key not in _NOT_IN_BODY:
            body[key] = value
    if "max_tokens" in body and takes_completion_tokens(prefix, name):
        body.setdefault("max_completion_tokens", body.pop("max_tokens"))
    if stream:
        body["stream"] = True
        told = options.get("stream_options") or {}
        if usage and (endpoint is None or endpoint.asks_usage):
            told = {"include_usage": True, **told}
        elif told:
            told = {name: value for name, value in told.items() if name != "include_usage"}
        if told:
            body["stream_options"] = told
    if more := options.get("extra_body"):
        body |= more
    try:
        encoded = as_json(body)
    except (TypeError, ValueError) as error:
        wrong = str(error)
    else:
        return Outgoing(url, headers, encoded)
    raise ConfigurationError(f"LM({request.model!r}): an option or message cannot be sent: {wrong}")


# `stream_options` is put into the body of a stream alone.
_NOT_IN_BODY = TRANSPORT | {"extra_body", "max_retries", "engine", "project", "stream_options"}


def _headers(model: str, prefix: str | None, key: Any, basic: str | None, options: Mapping[str, Any]) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "*/*", "User-Agent": "lmstream_sync"}
    # A compressed stream waits in the compressor's window.
    headers["Accept-Encoding"] = "identity"
    if basic or key:
        headers["Authorization"] = basic or f"Bearer {key}"
    if prefix == "openai":
        organization = options.get("organization") or said("OPENAI_ORGANIZATION", "OPENAI_ORG_ID")
        if organization:
            headers["OpenAI-Organization"] = str(organization)
        if project := said("OPENAI_PROJECT_ID"):
            headers["OpenAI-Project"] = project
    elif prefix == "openrouter":
        for name, variable in (("HTTP-Referer", "OR_SITE_URL"), ("X-Title", "OR_APP_NAME")):
            if told := said(variable):
                headers[name] = told
    if options.get("project"):
        headers["OpenAI-Project"] = str(options["project"])
    for kind in ("headers", "extra_headers"):
        if more := options.get(kind):
            for name, value in more.items():
                if isinstance(value, str) and any(each in value for each in "\r\n\0"):
                    raise ConfigurationError(f"LM({model!r}): the header {name} has a line break in it")
                _set(headers, str(name), value)
    return headers


def _set(headers: dict[str, str], name: str, value: Any) -> None:
    """Put a header in the place of one that differs in case only; `None` takes it away."""
    for known in [known for known in headers if known.lower() == name.lower()]:
        del headers[known]
    if value is not None:
        headers[name] = str(value)


def _address(base: str, path: str, options: Mapping[str, Any]) -> tuple[str, str | None]:
    """The URL of a path below a base address, and what the header of a user in it is."""
    if "@" in base or "?" in base or options.get("extra_query") or options.get("api_version"):
        return _bare(joined_to(base, path), options)
    return _plain_url(base, path), None


@lru_cache(maxsize=1_000)
def _plain_url(base: str, path: str) -> str:
    """The same for a base address with neither user nor query, which has no secret in it: this is remembered."""
    return joined_to(base, path)


def _bare(url: str, options: Mapping[str, Any]) -> tuple[str, str | None]:
    """A URL with the query that options ask for and without a user; and what that user's header is."""
    parts = urlsplit(url)
    query = parts.query
    more = dict(options.get("extra_query") or {})
    if options.get("api_version"):
        more.setdefault("api-version", options["api_version"])
    if more:
        given = [(name, text) for name, text in parse_qsl(query, keep_blank_values=True) if name not in more]
        query = urlencode([*given, *more.items()], doseq=True)
    return without_user(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")))


def without_user(url: str) -> tuple[str, str | None]:
    """A URL without user and password, and what a header says of them. Source: RFC 7617, "Basic"."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    told = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=place)), f"Basic {told}"
