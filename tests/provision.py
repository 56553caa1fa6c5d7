"""What the tests need from the machine beyond PyPI: a browser, nginx, Node and what npm brings.

`python -m tests` without arguments, or with `--provision`, installs what is missing where it
may (root, apt-get); a selection of tests does not wait for that. A test asks with `need`,
and fails in one line that names the package where the thing is not there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NODE_FOLDER", "need", "need_node_modules", "provision"]

#: The folder whose package-lock.json says what npm brings.
NODE_FOLDER = Path(__file__).resolve().parent / "web" / "formats" / "node"

#: Where programs stand that are not on everybody's PATH.
_MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")

#: Seconds that one step of an installation may take.
_PATIENCE = 900


@dataclass(frozen=True)
class _Program:
    """A program, by the names it may have, and Debian's package that brings it."""

    names: tuple[str, ...]
    package: str


_PROGRAMS = {
    "chromium": _Program(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "nginx": _Program(("nginx",), "nginx-light"),
    "node": _Program(("node", "nodejs"), "nodejs"),
    "npm": _Program(("npm",), "npm"),
}


def need(name: str) -> str:
    """The path of a program: `chromium`, `nginx`, `node` or `npm`. Fails the test where it is missing."""
    # Here, because the test command installs without pytest.
    import pytest

    path = _path_of(name)
    if path is None:
        pytest.fail(f"{name} is missing: apt-get install {_PROGRAMS[name].package}", pytrace=False)
    return path


def need_node_modules() -> Path:
    """The `node_modules` that belong to the lock file. Fails the test where they are missing or of another one."""
    import pytest

    if not _node_modules_are_there():
        pytest.fail(f"node_modules are missing: run `npm ci` in {NODE_FOLDER}", pytrace=False)
    return NODE_FOLDER / "node_modules"


def provision() -> None:
    """Install what is missing, where that can be; says in one line what it did, or what stays missing.

    Prints nothing where all is there. Raises nothing: a test that lacks something says so itself.
    """
    began = time.monotonic()
    missing = list(dict.fromkeys(_PROGRAMS[name].package for name in _missing()))
    done = []
    if missing and _may_install():
        print(f"installing {' '.join(missing)} …", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "update", "-qq"], env=environment)
        if _run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing], env=environment):
            done += missing
    if not _node_modules_are_there() and (npm := _path_of("npm")) is not None:
        print("installing the packages of npm …", flush=True)
        if _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=NODE_FOLDER):
            done.append("npm's packages")
    if done:
        print(f"installed {', '.join(done)} ({time.monotonic() - began:.0f} s)", flush=True)
    if still := list(dict.fromkeys(_PROGRAMS[name].package for name in _missing())):
        print(f"missing, and so the tests that need it fail: apt-get install {' '.join(still)}", flush=True)


def _missing() -> Iterator[str]:
    return (name for name in _PROGRAMS if _path_of(name) is None)


def _path_of(name: str) -> str | None:
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_FOLDERS])
    return next(filter(None, (shutil.which(each, path=folders) for each in _PROGRAMS[name].names)), None)


def _node_modules_are_there() -> bool:
    """Whether what npm installed is what the lock file says; true where there is no lock file."""
    lock = NODE_FOLDER / "package-lock.json"
    if not lock.exists():
        return True
    installed = NODE_FOLDER / "node_modules" / ".package-lock.json"  # npm writes it when it is done
    return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


def _may_install() -> bool:
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _run(command: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> bool:
    """Run quietly; where it fails, show what it said."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"`{' '.join(command)}` failed: {error}", flush=True)
        return False
    if done.returncode != 0:
        print(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}".rstrip(), flush=True)
    return done.returncode == 0
