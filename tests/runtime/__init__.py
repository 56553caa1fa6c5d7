"""What `lmstream_sync.runtime` promises, a file for each of its ideas."""
