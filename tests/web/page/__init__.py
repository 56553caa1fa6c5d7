"""The chat page, in a real browser against a real server."""
