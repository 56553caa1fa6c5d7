"""A progress bar on the terminal, by `rich` where that is installed (the extra `progress`).

The only file that knows `rich`. Without it, or without a terminal, there is no bar.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["progress"]


@contextlib.contextmanager
def progress(title: str, total: int, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """A bar on standard error for as long as the block lasts; gives what advances it by one.

    Args:
        title: stands before the bar.
        total: how many steps there are.
        shown: false for no bar.
    """
    bar = _bar() if shown else None
    if bar is None:
        yield lambda: None
        return
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def _bar() -> Any:
    stderr = sys.stderr
    if stderr is None or not stderr.isatty():
        return None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=stderr),
    )
