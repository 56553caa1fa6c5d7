"""The servers of the matrix: how each is started, and what it does with a signal."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from tests.web.servers.running import RunningServer

__all__ = ["AT_ONCE", "KINDS", "Kind"]

#: Streams at once in the tests: each concurrent server has room for so many.
AT_ONCE = 50

_FLASK = "tests.web.servers.app:app"


@dataclass(frozen=True)
class Kind:
    """One server in one setting.

    Attributes:
        name: as the matrix shows it.
        app: the framework of what it serves.
        command: what is started, behind the Python of the tests; `{threads}` is filled in.
        listening: finds the port in what it writes.
        packages: of PyPI, whose versions belong to the result.
        at_once: streams that it serves at once; more wait for their turn.
        restarts_workers: a worker that was killed is replaced.
        graceful: what it writes when SIGTERM makes it end what runs and then stop; `None` where it
            lets nothing end.
        reload: what it writes when SIGHUP makes it put new workers in place of the old.
        listens_anew: after a reload it takes another port, where it was told to take any.
        environment: beside the model's address.
        variant: of another kind, whose longer tests it does not repeat.
        gevent: its workers run under gevent's patches.
    """

    name: str
    app: str
    command: tuple[str, ...]
    listening: str
    packages: tuple[str, ...]
    at_once: int = AT_ONCE
    restarts_workers: bool = True
    graceful: str | None = None
    reload: str | None = None
    listens_anew: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    variant: bool = False
    gevent: bool = False

    def start(self, model: str, *more: str, threads: int = AT_ONCE, **environment: str) -> RunningServer:
        """Start it.

        Args:
            model: the address of the model.
            *more: further arguments.
            threads: of one worker, where it has threads.
            **environment: further variables.
        """
        names = {"LMSTREAM_TEST_MODEL": model, **self.environment, **environment}
        command = [each.replace("{threads}", str(threads)) for each in self.command]
        return RunningServer([sys.executable, *command, *more], names, self.listening)


def _gunicorn(worker: str, *more: str, preload: str = "") -> Kind:
    used = preload == "used"
    shown = " --preload, a stream used before the fork" if used else " --preload" if preload else ""
    command = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--worker-class", worker, *more)
    return Kind(
        f"gunicorn {worker}{shown}",
        "Flask",
        (*command, *(("--preload",) if preload else ()), _FLASK),
        listening=r"Listening at: http://127\.0\.0\.1:(\d+)",
        packages=("gunicorn", "gevent") if worker == "gevent" else ("gunicorn",),
        at_once=2 if worker == "sync" else AT_ONCE,
        graceful="Handling signal: term",
        reload="Handling signal: hup",
        environment={"LMSTREAM_TEST_IN_MASTER": "1"} if used else {},
        variant=bool(preload),
        gevent=worker == "gevent",
    )


def _gunicorns(worker: str, *more: str) -> list[Kind]:
    return [_gunicorn(worker, *more, preload=preload) for preload in ("", "yes", "used")]


_ALL = [
    *_gunicorns("sync", "--workers", "2"),
    *_gunicorns("gthread", "--threads", "{threads}"),
    *_gunicorns("gevent"),
    Kind(
        "waitress",
        "Flask",
        ("-m", "waitress", "--listen", "127.0.0.1:0", "--threads", "{threads}", _FLASK),
        listening=r"Serving on http://127\.0\.0\.1:(\d+)",
        packages=("waitress",),
        restarts_workers=False,
    ),
    Kind(
        "uWSGI",
        "Flask",
        (
            "-c", "import pyuwsgi; pyuwsgi.run()", "--http-socket", "127.0.0.1:0", "--module", _FLASK,
            "--master", "--lazy-apps", "--need-app", "--processes", "1", "--threads", "{threads}",
            # A reload starts the program anew: without this the Python that the environment was made from.
            "--binary-path", sys.executable,
            "--hook-master-start", "unix_signal:15 gracefully_kill_them_all",
        ),
        listening=r"bound to TCP address 127\.0\.0\.1:(\d+)",
        packages=("pyuwsgi",),
        graceful="graceful shutdown triggered",
        reload="gracefully killing workers",
        listens_anew=True,
    ),
    *(
        Kind(
            f"uvicorn, {app}",
            app,
            ("-m", "uvicorn", "--port", "0", target),
            listening=r"Uvicorn running on http://127\.0\.0\.1:(\d+)",
            packages=("uvicorn", app.lower()),
            restarts_workers=False,
            graceful="Shutting down",
        )
        for app, target in (
            ("Starlette", "tests.web.servers.starlette_app:app"),
            ("Django", "tests.web.servers.django_app:asgi"),
        )
    ),
    Kind(
        "gunicorn gthread, Django",
        "Django",
        ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--threads", "{threads}",
         "tests.web.servers.django_app:application"),
        listening=r"Listening at: http://127\.0\.0\.1:(\d+)",
        packages=("gunicorn", "django"),
        variant=True,
        graceful="Handling signal: term",
        reload="Handling signal: hup",
    ),
]  # fmt: skip

KINDS = {kind.name: kind for kind in _ALL}
