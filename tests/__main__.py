"""The test command: pytest, ruff, the format check and mypy, each run to its end.

    python -m tests               everything; first installs what it needs beyond PyPI (provision.py)
    python -m tests -k reader     arguments go to pytest, and nothing is installed
    python -m tests --provision   installs in any case

Exits with 1 if one of them failed. Run it with the Python of an environment in which
`pip install -e ".[test]"` was done.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.provision import provision

ROOT = Path(__file__).resolve().parent.parent

CHECKS: list[tuple[str, list[str]]] = [
    ("pytest", ["pytest", "-q"]),
    ("ruff check", ["ruff", "check", "."]),
    ("ruff format --check", ["ruff", "format", "--check", "."]),
    ("mypy --strict", ["mypy"]),  # strict, and what it looks at, stand in setup.cfg
]


def main() -> int:
    """Run every check and say how each went; 0 when all passed."""
    arguments = sys.argv[1:]
    if not arguments or "--provision" in arguments:
        provision()
        arguments = [each for each in arguments if each != "--provision"]
    results = []
    for name, command in CHECKS:
        extra = arguments if name == "pytest" else []
        print(f"\n── {name} ──", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, "-m", *command, *extra], cwd=ROOT).returncode
        results.append((name, code, time.monotonic() - began))
    print()
    for name, code, took in results:
        print(f"{'ok  ' if code == 0 else 'FAIL'} {name} ({took:.0f} s)")
    return int(any(code for _, code, _ in results))


if __name__ == "__main__":
    raise SystemExit(main())
