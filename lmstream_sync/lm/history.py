"""The last few requests of an LM, for people who look what was sent. Holds no secrets."""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["HISTORY_SIZE", "history_entry", "shown"]

#: How many requests an LM remembers.
HISTORY_SIZE = 20


def history_entry(
    *,
    model: str,
    prompt: str | None,
    messages: list[dict[str, Any]],
    options: dict[str, Any],
    outputs: list[str],
    usage: Mapping[str, Any],
    cost: float | None,
    cached: bool,
    error: str | None = None,
) -> dict[str, Any]:
    """One request as `LM.history` shows it; `options` must be without secrets, and the entry's own."""
    return {
        "uuid": f"{random.getrandbits(128):032x}",  # told apart, not hard to guess
        "timestamp": _now(),
        "model": model,
        "prompt": prompt,
        "messages": messages,
        "kwargs": options,
        "outputs": outputs,
        "usage": dict(usage),
        "cost": cost,
        "cached": cached,
        "error": error,
    }


#: The last second that was written, and how.
_second = (0, "")


def _now() -> str:
    """The local time to the millisecond, as ISO 8601 has it; most requests share their second with another."""
    global _second
    now = time.time()
    second, written = _second
    if second != int(now):
        second = int(now)
        written = datetime.datetime.fromtimestamp(second).isoformat()
        _second = (second, written)
    return f"{written}.{int(now % 1 * 1000):03d}"


def shown(entries: Iterable[Mapping[str, Any]]) -> str:
    """Requests and their replies as text for a terminal."""
    blocks: list[str] = []
    for entry in entries:
        lines = [f"──── {entry['model']}, {entry['timestamp']}{', cached' if entry['cached'] else ''}"]
        for message in entry["messages"]:
            lines.append(f"{message.get('role', '?')}:\n{_text(message.get('content'))}\n")
        lines.extend(f"reply:\n{output}\n" for output in entry["outputs"])
        if entry["error"]:
            lines.append(f"error: {entry['error']}\n")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(
            str(part["text"]) if isinstance(part, Mapping) and "text" in part else f"<{_kind(part)}>"
            for part in content
        )
    return "" if content is None else str(content)


def _kind(part: Any) -> str:
    return str(part.get("type", "part")) if isinstance(part, Mapping) else type(part).__name__
