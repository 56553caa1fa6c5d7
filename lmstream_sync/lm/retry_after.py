"""How long a provider asks to wait, read from the headers that came with its error. Pure."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Mapping, Sequence

__all__ = ["retry_after_of"]


def retry_after_of(chain: Sequence[BaseException]) -> float | None:
    """Seconds from `Retry-After` (RFC 9110, 10.2.3: seconds or a date) or `retry-after-ms`."""
    for link in chain:
        for holder in (
            getattr(link, "litellm_response_headers", None),
            getattr(link, "headers", None),
            getattr(getattr(link, "response", None), "headers", None),
        ):
            if not isinstance(holder, Mapping):
                continue
            headers = {str(name).lower(): str(value) for name, value in holder.items()}
            for name, seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
                for key in (name, f"llm_provider-{name}"):
                    if key in headers and (found := _seconds(headers[key])) is not None:
                        return found * (seconds if headers[key].replace(".", "", 1).isdigit() else 1.0)
    return None


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
