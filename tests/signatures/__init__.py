"""Promises of `lmstream_sync.signatures`."""
