"""`python -m lmstream_sync`: see `cli/`."""

from __future__ import annotations

from lmstream_sync.cli.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
