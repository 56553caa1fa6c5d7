"""What an app under test tells of its own process: its libraries, and what kind of thread the loop runs on."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

__all__ = ["census"]


def census(**more: Any) -> dict[str, Any]:
    """The process, as JSON has it.

    `loop_is_native`: whether the library's loop runs on a thread of the system's; `None` where
    there is no loop. Under gevent's patches a thread is a greenlet, and the system knows no
    thread of its number.
    """
    loops = [thread.ident for thread in threading.enumerate() if thread.name == "lmstream-loop"]
    native = sys._current_frames()
    return {
        "pid": os.getpid(),
        "loops": len(loops),
        "loop_is_native": all(ident in native for ident in loops) if loops else None,
        "litellm": "litellm" in sys.modules,
        **more,
    }
