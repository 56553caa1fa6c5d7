"""Promises of `lmstream_sync.adapters`."""
