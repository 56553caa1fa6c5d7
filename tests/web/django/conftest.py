"""The project's servers, one process a kind, and the scripted model that all of them ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmstream_sync.testing import ScriptedServer
from tests.web.django.client import Site
from tests.web.django.serving import KINDS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="package")
def _model() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def model(_model: ScriptedServer) -> Iterator[ScriptedServer]:
    """The model that every site asks; a test sets its `replies`, which may stall."""
    yield _model
    _model.replies = "[[ ## answer ## ]]\nYes."


@pytest.fixture(scope="package")
def sites(_model: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Starts the project behind a kind of server, once each."""
    with ExitStack() as stack:
        started: dict[tuple[str, ...], Site] = {}

        def start(kind: str, *, atomic: bool = False) -> Site:
            key = (kind, str(atomic))
            if key not in started:
                database = tmp_path_factory.mktemp("site") / "db.sqlite3"
                started[key] = stack.enter_context(_served(kind, _model, database, atomic))
            return started[key]

        yield start


class _served(Site):
    def __init__(self, kind: str, model: ScriptedServer, database: Path, atomic: bool) -> None:
        self._log = open(database.with_suffix(".log"), "w+b")  # noqa: SIM115
        environment = {
            **os.environ,
            "MODEL_URL": model.url,
            "DATABASE": str(database),
            "ATOMIC": str(int(atomic)),
            "PYTHONPATH": str(ROOT),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.django.serving", kind],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        assert port, self.log
        super().__init__(kind, int(port), atomic=atomic)

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def __enter__(self) -> _served:
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
        self._log.close()


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, sites: Callable[..., Site]) -> Site:
    """The project behind each kind of server."""
    return sites(request.param)
