"""What a process can see of itself: memory, threads, open descriptors."""

from __future__ import annotations

import os
import threading
from pathlib import Path

PROC = Path("/proc/self")


def memory() -> float:
    """The resident memory in MB."""
    if PROC.exists():
        pages = int((PROC / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    # The most there ever was, where nothing else is known.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def threads() -> int:
    """How many threads there are, those of C libraries included where that is known."""
    if PROC.exists():
        return len(os.listdir(PROC / "task"))
    return threading.active_count()


def descriptors() -> int:
    """How many files and sockets are open."""
    return len(os.listdir(PROC / "fd" if PROC.exists() else "/dev/fd")) - 1
