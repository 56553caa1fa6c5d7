"""The environment with the peers, and the processes in it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = HERE / ".env" / ("Scripts" if os.name == "nt" else "bin") / "python"
INSTALLED = HERE / ".env" / "installed.txt"

#: What decides about the figures and is named beside them.
PACKAGES = ["aiohttp", "httpx", "openai", "litellm", "langchain-openai", "pydantic-ai-slim", "dspy", "lmstream-sync"]

VERSIONS = "import json, importlib.metadata as m, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
IMPORT = """
import time
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
from tests.benchmarks.process import memory
print('{{"import_ms": %f, "memory_mb": %f}}' % (took * 1e3, memory()))
"""


def make() -> None:
    """Make the environment where it is missing, or where what it holds has changed."""
    wanted = (HERE / "requirements.txt").read_text() + (ROOT / "pyproject.toml").read_text()
    if PYTHON.exists() and INSTALLED.exists() and INSTALLED.read_text() == wanted:
        return
    print("installing the peers into tests/benchmarks/.env ...", flush=True)
    venv.create(HERE / ".env", with_pip=True)
    command = [PYTHON, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt", "-e", ROOT]
    subprocess.run(command, check=True)
    INSTALLED.write_text(wanted)


def variables() -> dict[str, str]:
    """The variables of a child: no proxy, key or telemetry of the machine has a part in what is measured."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # Compiled modules are kept, as after any installation.
        if not name.lower().endswith(("_proxy", "_api_key", "_api_base", "_base_url"))
        and name != "PYTHONDONTWRITEBYTECODE"
    }
    return kept | {
        "NO_PROXY": "127.0.0.1",
        "OPENAI_API_KEY": "sk-test",  # some look for it even where they are given another
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch its table of prices at import
        "DSPY_CACHEDIR": str(Path(tempfile.gettempdir()) / "lmstream-benchmarks"),
    }


def run(*arguments: str, limit: float) -> dict[str, Any]:
    """What a Python in the environment prints last, as JSON.

    Args:
        *arguments: of the interpreter.
        limit: seconds after which it counts as stalled.
    """
    try:
        done = subprocess.run(
            [PYTHON, *arguments], capture_output=True, text=True, cwd=ROOT, env=variables(), timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"failed": "stalled", "message": f"not over after {limit:g} s"}
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"failed": "died", "message": last[:300]}
    return found


def child(job: dict[str, Any], limit: float) -> dict[str, Any]:
    """Do a job of `child.py` in a fresh process."""
    return run("-m", "tests.benchmarks.child", json.dumps(job), limit=limit)


def importing(module: str) -> dict[str, Any]:
    """Time and memory of an import in a fresh process; of nothing for an empty name."""
    return run("-c", IMPORT.format(statement=f"import {module}" if module else "pass"), limit=60)


def versions() -> dict[str, str]:
    """The versions of what is measured."""
    return run("-c", VERSIONS, *PACKAGES, limit=60)


def machine() -> dict[str, Any]:
    """What else decides about the figures, without names of hosts or paths."""
    python = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {
        "cpus": os.cpu_count(),
        "cpu": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": python,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    """What the processor calls itself."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


@contextmanager
def served() -> Iterator[str]:
    """The server in a process of its own; gives its URL."""
    server = subprocess.Popen(
        [PYTHON, "-m", "tests.benchmarks.server"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=variables()
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
