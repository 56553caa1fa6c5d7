"""Replies as a model writes them in the chat format, for the tests of this folder."""

from __future__ import annotations


def chat(**fields: str) -> str:
    """A reply that gives these fields."""
    parts = [f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])
