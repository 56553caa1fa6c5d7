"""What can be known to be wrong with the arguments of an `LM` and its calls, before anything is sent.

Each check raises `ConfigurationError`, which says what to write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm.secrets import Secret

__all__ = [
    "as_key",
    "as_messages",
    "check_api_base",
    "check_messages",
    "check_number",
    "check_options",
    "check_retries",
    "without_dspys",
]

# Options of this class that are still to come; litellm must not get them as its own.
_NOT_YET = ("fallbacks", "on_interrupt", "max_reply_bytes")

_OWN_OPTIONS = [
    "api_key",
    "api_base",
    "temperature",
    "max_tokens",
    "cache",
    "cache_in_memory",
    "num_retries",
    "timeout",
    "engine",
    "callbacks",
]


#: Arguments of DSPy's `LM`, each with the values that mean what is done here anyway.
_DSPYS: dict[str, tuple[Any, ...]] = {"model_type": ("chat", None), "use_developer_role": (False, None)}


def check_number(name: str, value: object) -> None:
    """Refuse what is no number, and no number below 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
        raise ConfigurationError(f"LM({name}={value!r}): give a number, 0 or more")


def without_dspys(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without arguments of DSPy's `LM` that say nothing here, and no provider knows."""
    return {name: value for name, value in options.items() if name not in _DSPYS}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what is still to come, and what is one of ours misspelt: litellm would get it in silence."""
    for name, value in options.items():
        if name in _DSPYS and value not in _DSPYS[name]:
            raise ConfigurationError(f"LM({name}={value!r}): this is chat completions only; leave {name}= out")
        if name in _NOT_YET:
            raise ConfigurationError(f"LM({name}=...): this option does not exist yet")
        if meant := _meant(name):
            raise ConfigurationError(f"LM({name}=...): did you mean {meant}=?")


@lru_cache(maxsize=1_000)
def _meant(name: str) -> str | None:
    """The option of ours that a name which is none looks like."""
    if name in _OWN_OPTIONS:
        return None
    return next(iter(difflib.get_close_matches(name, _OWN_OPTIONS, n=1, cutoff=0.8)), None)


def as_key(key: Any) -> Any:
    """A hidden key without the white space round it, as one that was read from a file has it; else what was given.

    Raises:
        ConfigurationError: no header could carry it.
    """
    wrong = None
    if isinstance(key, Secret) and isinstance(text := key.reveal(), str):
        text = text.strip()
        if text.isascii() and text.isprintable():
            return Secret(text)
        wrong = "a line break, or another control character," if text.isascii() else "a character that no key has"
        del text  # a debug page shows the locals of this frame
    if wrong is None:
        return key
    raise ConfigurationError(f"LM(api_key=...): there is {wrong} in the key; copy it once more, in one line")


def check_api_base(api_base: str | None, base_url: str | None = None) -> None:
    """Refuse an address that no HTTP client would understand, and two that differ."""
    if api_base and base_url and str(api_base).rstrip("/") != str(base_url).rstrip("/"):
        raise ConfigurationError("LM(api_base=..., base_url=...): these are two names of one thing; give one of them")
    if api_base is not None and "://" not in str(api_base):
        raise ConfigurationError(
            f"LM(api_base={api_base!r}) has no scheme: write http://{api_base} or https://{api_base}"
        )


def as_messages(prompt: str | None, messages: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """What a prompt or messages say, as messages."""
    if (prompt is None) == (messages is None):
        raise ConfigurationError('give one of the two: lm("a prompt") or lm(messages=[{"role": "user", ...}])')
    if messages is not None:
        return messages
    if not isinstance(prompt, str):
        raise ConfigurationError(
            f"the prompt is a {type(prompt).__name__}; give a text, or lm(messages=...) for messages"
        )
    return [{"role": "user", "content": prompt}]


def check_messages(messages: object) -> None:
    """Refuse what is no list of dicts."""
    if isinstance(messages, (list, tuple)):
        for one in messages:
            if not isinstance(one, (dict, Mapping)):
                break
        else:
            return
    raise ConfigurationError('messages= takes a list of dicts: [{"role": "user", "content": "..."}]')


def check_retries(retries: object) -> None:
    """Refuse what is no count."""
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ConfigurationError(f"num_retries={retries!r}: give a whole number, 0 for none")
