"""Run the tests of this folder and write `results.md`: `python -m tests.web.servers`; arguments go to pytest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.web.servers.report import RESULTS, Report

if __name__ == "__main__":
    code = pytest.main([str(Path(__file__).resolve().parent), "-q", *sys.argv[1:]], plugins=[Report()])
    print(f"written: {RESULTS}")
    raise SystemExit(code)
