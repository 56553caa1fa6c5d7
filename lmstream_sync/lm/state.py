"""An LM as plain data, without keys, and an LM made of it again.

A key never goes into the data: an LM that is made of it takes its key from the environment.
So the data must not be able to say where that key is sent, unless the one who loads it
trusts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.model import LM
from lmstream_sync.lm.secrets import Secret, is_secret_name, known_secrets, reveal, scrub
from lmstream_sync.runtime.timeout import Timeout

__all__ = ["dump_lm", "load_lm"]

#: Options that say where a request goes, and with it the key of the environment. So does any that holds a URL.
_ENDPOINTS = frozenset({"api_base", "base_url", "model_list", "fallbacks", "custom_llm_provider", "client"})

_LIMITS = ("connect", "first", "idle", "total", "reader")

#: What DSPy writes that says nothing to us.
_OF_DSPY = frozenset(
    {"_dspy_lm_class", "model_type", "finetuning_model", "launch_kwargs", "train_kwargs", "use_developer_role"}
)


def dump_lm(lm: Any) -> dict[str, Any]:
    """The model and its options as JSON has them, without a secret in them at any depth.

    Raises:
        ConfigurationError: it is no plain `LM`, or an option has no JSON form.
    """
    if type(lm) is not LM:
        raise ConfigurationError(
            f"a {type(lm).__name__} cannot be saved, only an lms.LM; call program.set_lm(None) before save() and "
            "set_lm(...) again after load()"
        )
    known = known_secrets(lm._options)
    state: dict[str, Any] = {
        "model": lm.model,
        "cache": lm.cache,
        "cache_in_memory": lm.cache_in_memory,
        "num_retries": lm.num_retries,
        "engine": lm._chosen_engine,
    }
    if lm.timeout is not None:
        state["timeout"] = {name: getattr(lm.timeout, name) for name in _LIMITS if lm.timeout.given(name)}
    for name, value in lm._options.items():
        told, clean = _without_secrets(name, value, known)
        if not told:
            continue
        try:
            json.dumps(clean)
        except (TypeError, ValueError):
            wrong = f"the option {name}= of {lm!r} is a {type(value).__name__}, which JSON has no word for"
        else:
            state[name] = clean
            continue
        raise ConfigurationError(f"{wrong}; set it after load()")
    return state


def _without_secrets(name: str, value: Any, known: Sequence[str]) -> tuple[bool, Any]:
    """(True, a copy without secrets), or (False, None) where nothing may be told."""
    if isinstance(value, Secret) and value.shown != repr(Secret("")):
        value = reveal(value)  # a URL with a password in it
    elif isinstance(value, Secret) or (is_secret_name(name) and not isinstance(value, (bool, type(None)))):
        return False, None
    if isinstance(value, Mapping):
        pairs = ((str(key), _without_secrets(str(key), inner, known)) for key, inner in value.items())
        return True, {key: clean for key, (told, clean) in pairs if told}
    if isinstance(value, (list, tuple)):
        kept = (_without_secrets("", inner, known) for inner in value)
        return True, [clean for told, clean in kept if told]
    if isinstance(value, str):
        if "://" in value:
            value = _bare_url(value)
        return (True, value) if scrub(value, known) == value else (False, None)
    return True, value


def _bare_url(url: str) -> str:
    """A URL without user, password and what in its query is a secret."""
    try:
        parts = urlsplit(url)
        query = [(key, text) for key, text in parse_qsl(parts.query, keep_blank_values=True) if not _is_secret(key)]
    except ValueError:
        return url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, urlencode(query), parts.fragment))


def _is_secret(key: str) -> bool:
    return scrub(f"?{key}=12345678", ()) != f"?{key}=12345678" or is_secret_name(key)


def load_lm(state: Any, *, trusted: bool) -> LM:
    """An LM of what `dump_lm` gave; its key comes from the environment.

    Args:
        state: the data.
        trusted: allow it to say where requests, and with them the environment's key, go.

    Raises:
        ConfigurationError: it is no such data, or names an endpoint and is not trusted.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("model"), str):
        raise ConfigurationError("its LM has no model")
    options = {str(name): value for name, value in state.items() if name not in _OF_DSPY and value is not None}
    endpoints = sorted(name for name, value in options.items() if name in _ENDPOINTS or _has_url(value))
    if endpoints and not trusted:
        raise ConfigurationError(
            f"its LM says where requests go ({', '.join(f'{name}={options[name]!r}' for name in endpoints)}), and the "
            "key of your environment would go there too; if you trust the file, load it with allow_unsafe_lm_state=True"
        )
    limits = options.pop("timeout", None)
    if isinstance(limits, Mapping):
        if not limits.keys() <= set(_LIMITS):
            raise ConfigurationError(f"its LM has a timeout of another kind: {', '.join(map(str, limits))}")
        options["timeout"] = Timeout(**limits)
    elif limits is not None:
        options["timeout"] = limits
    try:
        return LM(**options)
    except TypeError as error:
        wrong = str(error)
    raise ConfigurationError(f"its LM cannot be made: {wrong}")


def _has_url(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_url, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_url, value))
    return isinstance(value, str) and "://" in value
