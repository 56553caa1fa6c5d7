"""The fixture under test, from wherever the package was installed or not."""

from __future__ import annotations

from lmstream_sync.testing.plugin import scripted_lm

__all__ = ["scripted_lm"]
