"""`main`: the arguments, and the command that they name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lmstream_sync.cli import demo

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; without one, say which there are.

    Args:
        arguments: those after the program's name; `None`: of this process.

    Returns:
        The exit code: 0, 1 where a command failed, 2 (by `SystemExit`) for wrong arguments.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lmstream_sync",
        description="Stream language-model programs into an ordinary for loop.",
    )
    commands = parser.add_subparsers(title="commands", metavar="")
    demo.add_to(commands)
    asked = parser.parse_args(arguments)
    if not hasattr(asked, "run"):
        parser.print_help()
        return 0
    return int(asked.run(asked))
