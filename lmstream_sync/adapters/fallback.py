"""What Chat and XML share: a reply that does not parse is asked for once more, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstream_sync.adapters.base import Adapter
from lmstream_sync.adapters.prompts import PromptAdapter

__all__ = ["AdapterWithFallback"]


class AdapterWithFallback(PromptAdapter):
    """An adapter that has `JSONAdapter` ask once more where a reply does not parse.

    Args:
        callbacks, use_native_function_calling, native_response_types, parallel_tool_calls: see `Adapter`.
        use_json_adapter_fallback: `False`: such a reply is an error at once.
    """

    def __init__(
        self,
        callbacks: Sequence[Any] | None = None,
        use_native_function_calling: bool | None = None,
        native_response_types: Sequence[type] | None = None,
        use_json_adapter_fallback: bool = True,
        parallel_tool_calls: bool | None = None,
    ) -> None:
        super().__init__(callbacks, use_native_function_calling, native_response_types, parallel_tool_calls)
        self.use_json_adapter_fallback = use_json_adapter_fallback

    def fallback(self) -> Adapter | None:
        """`JSONAdapter`, unless that was switched off."""
        if not self.use_json_adapter_fallback:
            return None
        # Here, as most programs never need it, and what it imports is not for the event loop.
        from lmstream_sync.adapters.json_adapter import JSONAdapter

        return JSONAdapter(
            self.callbacks, self.use_native_function_calling, self.native_response_types, self.parallel_tool_calls
        )
