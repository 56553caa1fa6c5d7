"""What can be known to be wrong with a call before anything starts."""

from __future__ import annotations

import inspect
from typing import Any

from lmstream_sync.errors import SignatureError
from lmstream_sync.lm import LM
from lmstream_sync.program import Module
from lmstream_sync.program.run import adapter_in_force

__all__ = ["check_call"]


def check_call(program: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Check the arguments of a call, and that a model is configured where that is certain.

    Raises:
        SignatureError: arguments that the program does not take, or lacks.
        ConfigurationError: no LM, or a setting `adapter` that is none.
    """
    if isinstance(program, LM):
        return
    adapter_in_force()
    check = getattr(program, "check_call", None)
    if isinstance(program, Module) and check is not None:
        check(args, kwargs)
        return
    if isinstance(program, Module):
        return
    try:
        signature = inspect.signature(program)
    except (TypeError, ValueError):
        return  # a builtin that tells nothing of its arguments
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(program, "__qualname__", type(program).__name__)
        raise SignatureError(f"{name}{signature}: {error}") from None
