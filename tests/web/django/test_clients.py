"""Django's own test clients and test cases, in a process of their own: its settings are the whole process's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(120)
def test_djangos_own_tests_work(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.web.django.suite"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE": str(tmp_path / "db.sqlite3"),
            "MODEL_URL": "http://127.0.0.1:9/v1",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        encoding="utf-8",
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 11 tests" in done.stderr
