"""Language models: `LM`, its engines, the cache, retries and usage.

`model` has the LM, `asking` one request of it, `engine` the seam to the outside world and
`litellm_engine` what stands behind it. This package knows nothing of signatures and
programs.
"""

from __future__ import annotations

from lmstream_sync.lm.cache import LMRequestLRUCache
from lmstream_sync.lm.model import LM

__all__ = ["LM", "LMRequestLRUCache"]
