"""A `Content-Security-Policy` for a page that has its style and script inside."""

from __future__ import annotations

import base64
import hashlib
import re

__all__ = ["policy_for"]

_BLOCKS = {
    "style": re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL),
    "script": re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL),
}


def policy_for(page: str) -> str:
    """The value of the header: this page's own style and script by their hashes, its own server, nothing else.

        return Response(page, headers={"Content-Security-Policy": policy_for(page)})

    Source: Content Security Policy Level 3, "Hash usage".

    Args:
        page: what `chat_page` gave, with an endpoint on the server that the page comes from.
    """
    allowed = {kind: " ".join(map(_hash, blocks.findall(page))) for kind, blocks in _BLOCKS.items()}
    return (
        f"default-src 'none'; style-src {allowed['style']}; script-src {allowed['script']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
