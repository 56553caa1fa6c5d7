"""Language models: `LM`, its engines, the cache, retries and usage.

`model` has the LM, `asking` one request of it, `engine` the seam to the outside world;
`direct_engine` and `litellm_engine` stand behind it, and `direct_choice` chooses. This package
knows nothing of signatures and programs.
"""

from __future__ import annotations

from lmstream_sync.lm.cache import LMRequestLRUCache
from lmstream_sync.lm.model import LM

__all__ = ["LM", "LMRequestLRUCache"]
