"""The trajectory of an agent, a dict with DSPy's keys: `thought_0`, `tool_name_0`, `tool_args_0`, `observation_0`..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmstream_sync.signatures.values import text_of

__all__ = ["drop_oldest_turn", "written"]


def written(trajectory: Mapping[str, Any]) -> str:
    """The trajectory as a prompt shows it.

    What a tool returned or a model wrote may hold half a surrogate pair, which no request can.
    """
    text = "\n\n".join(f"{key}:\n{text_of(value)}" for key, value in trajectory.items())
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def drop_oldest_turn(trajectory: dict[str, Any]) -> bool:
    """Take the oldest turn out of a trajectory: a thought and all calls that followed from it.

    Returns:
        Whether there was another turn, so that something is left.
    """
    keys = list(trajectory)
    begins = [at for at, key in enumerate(keys) if key.startswith("thought_")]
    if len(begins) < 2:
        return False
    for key in keys[: begins[1]]:
        del trajectory[key]
    return True
