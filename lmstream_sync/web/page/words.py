"""What the page says of its own, in English; `chat_page(words=...)` overrides any of it."""

from __future__ import annotations

__all__ = ["WORDS"]

#: Its name → the text. What stands in braces is put in by the page.
WORDS: dict[str, str] = {
    "placeholder": "Ask anything",
    "label": "Your question",
    "send": "Send",
    "stop": "Stop",
    "again": "Try again",
    "anew": "New chat",
    "latest": "Jump to the latest",
    "keys": "Enter to send · Shift + Enter for a new line · Esc to stop",
    "conversation": "Conversation",
    "you": "You asked",
    "answer": "The answer",
    "thinking": "Thinking…",
    "reasoning": "Reasoning",
    "restarted": "Starting over with a new attempt",
    "complete": "The answer is complete.",
    "stopped": "Stopped",
    "failed": "That did not work",
    "busy": "Too much is being asked right now",
    "wait": "Please wait {seconds} seconds, then try again.",
    "offline": "The server could not be reached. Check your connection and try again.",
    "interrupted": "The connection ended before the answer was complete.",
    "unreadable": "The server gave no answer that this page can show.",
    "noscript": "This page needs JavaScript.",
}
