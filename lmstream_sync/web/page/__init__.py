"""A chat page for the browser: one small file that reads a stream in the library's own format.

`chat.py` puts it together from what lies in `source/`: `chat.html` and `chat.css`; `events.js`
reads server-sent events, `asking.js` asks the server, `prose.js` shows text as it grows, `turn.js`
a question with all that comes of it, `chat.js` the conversation and its keys. `words.py` has
what the page says of its own, `policy.py` a `Content-Security-Policy` for it.

It knows no framework: a door's view returns `chat_page(...)` as its text.
"""

from __future__ import annotations

from lmstream_sync.web.page.chat import chat_page
from lmstream_sync.web.page.policy import policy_for
from lmstream_sync.web.page.words import WORDS

__all__ = ["WORDS", "chat_page", "policy_for"]
