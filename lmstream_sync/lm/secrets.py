"""Keys and other secrets: kept out of every text, revealed only where a request is sent.

Pure. Knows nothing of engines; the environment is read only to know what to take out of
a text.
"""

from __future__ import annotations

import base64
import os
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit

__all__ = ["Secret", "hide", "is_secret_name", "known_secrets", "public", "reveal", "scrub"]

MASK = "***"

# Names of options, headers and environment variables whose value is a secret. `max_tokens`,
# `logit_bias` and `prompt_cache_key` are not: `token` must stand alone or at the end.
_SECRET_NAME = re.compile(
    r"(api|access|secret|private|subscription|shared|account)[-_]?key"
    r"|(^|[-_])key$"
    r"|secret|password|passwd|passphrase|authorization|credential|cookie"
    r"|(^|[-_])(auth|bearer|token|jwt|pat)$",
    re.IGNORECASE,
)
_NOT_SECRET = frozenset({"prompt_cache_key", "cache_key", "output_key", "input_key"})

# What looks like a secret whoever sent it: provider keys, bearer tokens, a password in a
# URL, a key in a query. A provider that echoes a key often cuts its middle out with stars.
_SHAPES = (
    re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|r8|pplx|nvapi|ghp|github_pat|xox[abp])[-_][A-Za-z0-9_*.\-]{4,}"),
    re.compile(r"\bAIza[A-Za-z0-9_*\-]{8,}"),
    re.compile(r"\bAKIA[A-Z0-9*]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{4,}\.?[A-Za-z0-9_\-]*"),
)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[^\s\"',;]{4,}", re.IGNORECASE)
_URL_USER = re.compile(r"(://)[^/\s@\"']+@")
_QUERY_NAME = r"[\w-]*(?:key|token|secret|password|signature)|sig|code|auth|jwt"
_URL_QUERY = re.compile(rf"([?&](?:{_QUERY_NAME})=)[^&\s\"']+", re.IGNORECASE)
_SECRET_IN_QUERY = re.compile(_QUERY_NAME, re.IGNORECASE)
_IN_QUERY = re.compile(rf"(?:^|&)(?:{_QUERY_NAME})=([^&#]+)", re.IGNORECASE)

#: Headers of requests that hold no secret. Of any other, whatever its name, a provider's words are cleaned.
_HARMLESS_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "http-referer",
        "openai-beta",
        "origin",
        "referer",
        "user-agent",
        "x-title",
    }
)
_HEADERS = ("headers", "extra_headers")
#: How the names of environment variables end that say where a proxy or an endpoint is.
_ADDRESSES = ("_PROXY", "_API_BASE", "_BASE_URL")

#: Shorter values are not taken out of texts: they would be found everywhere.
_SHORTEST = 4
#: The same for values that are a secret only perhaps: of a header, of an environment variable.
_SHORTEST_PERHAPS = 8


# The secrets that there are, by their ids: no text may show one, whoever holds it. Without a lock,
# as each change is one step, and some are made by the garbage collector.
_alive: dict[int, weakref.ref[Secret]] = {}


class Secret:
    """A value that shows itself to nobody: its `repr`, `str` and format are stars.

    Args:
        value: the secret.
        shown: what is shown instead, such as a URL without its password.
    """

    __slots__ = ("__weakref__", "_value", "shown")

    def __init__(self, value: Any, shown: str = MASK) -> None:
        self._value = value
        self.shown = shown
        key = id(self)
        _alive[key] = weakref.ref(self, lambda _: _alive.pop(key, None))

    def reveal(self) -> Any:
        """The value itself; call it only where a request is sent."""
        return self._value

    def __repr__(self) -> str:
        return self.shown

    def __format__(self, spec: str) -> str:
        return self.shown

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(Secret)


def is_secret_name(name: str) -> bool:
    """Whether an option, header or variable of this name holds a secret."""
    return name not in _NOT_SECRET and _SECRET_NAME.search(name) is not None


def hide(value: Any, name: str = "") -> Any:
    """A copy in which everything under a secret's name is a `Secret`, at any depth."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping):
        if name == "extra_query":
            return _hidden_in_query(value)
        return {key: hide(inner, str(key)) for key, inner in value.items()}
    if value is not None and not isinstance(value, bool) and is_secret_name(name):
        return Secret(value)
    if isinstance(value, str) and "://" in value and (shown := scrub(value, ())) != value:
        return Secret(value, shown)
    if isinstance(value, (list, tuple)):  # of fall-backs, of tools, each of which may have a key of its own
        return [hide(inner) for inner in value]
    return value


def _hidden_in_query(query: Mapping[Any, Any]) -> dict[Any, Any]:
    """What goes into a URL's query; there names are a secret's that mean other things elsewhere: `code`, `sig`."""
    hidden: dict[Any, Any] = {}
    for key, value in query.items():
        is_secret = value is not None and not isinstance(value, Secret) and _SECRET_IN_QUERY.fullmatch(str(key))
        hidden[key] = Secret(value) if is_secret else hide(value, str(key))
    return hidden


def reveal(value: Any) -> Any:
    """A copy in which every `Secret` is its value again."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {key: reveal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [reveal(inner) for inner in value]
    return value


#: What holds nothing at a glance: to ask that of a value takes longer than all the rest.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def public(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without secrets, for cache keys, history and callbacks; a URL stays, without its password."""
    shown: dict[str, Any] = {}
    for name, value in options.items():
        if type(value) in _PLAIN:
            shown[name] = value
        elif not isinstance(value, Secret):
            shown[name] = _public(value)
        elif value.shown != MASK:
            shown[name] = value.shown
    return shown


def _public(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.shown
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    return public(value) if isinstance(value, Mapping) else value


def known_secrets(options: Mapping[str, Any]) -> list[str]:
    """The secrets that a text may hold: those of these options, of every LM there is, and the environment's."""
    found = set(_strings(options))
    for kind in _HEADERS:
        found.update(_in_headers(options.get(kind)))
    for secret in _living():
        found.update(_texts_in(secret.reveal()))
    for name, value in os.environ.items():
        if is_secret_name(name) and len(value) >= _SHORTEST_PERHAPS:
            found.add(value)
        elif "://" in value and name.upper().endswith(_ADDRESSES):
            found.update(_in_address(value))
    return sorted(found, key=len, reverse=True)


def _living() -> list[Secret]:
    while True:
        try:
            references = list(_alive.values())
        except RuntimeError:  # one came or went while we looked
            continue
        return [secret for reference in references if (secret := reference()) is not None]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from _texts_in(value.reveal())
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _in_headers(headers: Any) -> Iterator[str]:
    """What may be a secret under a name that does not say so, as gateways have them: `X-Portkey-Config`."""
    if isinstance(headers, Mapping):
        for name, value in headers.items():
            if str(name).lower() not in _HARMLESS_HEADERS and isinstance(value, str):
                text = value.strip()
                if len(text) >= _SHORTEST_PERHAPS:
                    yield text


def _in_address(url: str) -> Iterator[str]:
    """What is secret in a URL, as it stands there and decoded: a password, the values of a query's secret names."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    found: list[str] = _IN_QUERY.findall(parts.query)
    found += [value for name, value in parse_qsl(parts.query) if is_secret_name(name)]
    user, at, _ = parts.netloc.rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        found.append(password if colon else name)  # a token may stand in the place of the user
        found.append(base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode())  # as it is sent
    for text in found:
        for form in {text, unquote(text), unquote_plus(text)}:
            if len(form) >= _SHORTEST:
                yield form


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        text = value.strip()
        if "://" in text:
            yield from _in_address(text)
        if len(text) >= _SHORTEST:
            yield text
            scheme, _, rest = text.partition(" ")
            if scheme.lower() in {"bearer", "basic"} and len(rest) >= _SHORTEST:
                yield rest
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)


def scrub(text: str, known: Iterable[str]) -> str:
    """The text with every secret in it replaced by stars.

    Args:
        text: what a provider or a library said.
        known: the secrets of the request (`known_secrets`), and what looks like one anyway.
    """
    for secret in known:
        for form in {secret, quote(secret, safe=""), unquote(secret), secret.encode("unicode_escape").decode()}:
            if len(form) >= _SHORTEST and form in text:
                text = text.replace(form, MASK)
    text = _BEARER.sub(rf"\1\2{MASK}", text)
    text = _URL_USER.sub(rf"\1{MASK}@", text)
    text = _URL_QUERY.sub(rf"\1{MASK}", text)
    for shape in _SHAPES:
        text = shape.sub(MASK, text)
    return text
