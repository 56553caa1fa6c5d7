"""A pytest plugin that writes the matrix of servers with the results of this run: `results.md`."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.provision import need
from tests.web.servers.kinds import AT_ONCE, KINDS, Kind

__all__ = ["RESULTS", "Report"]

RESULTS = Path(__file__).resolve().parent / "results.md"

#: The columns: what is promised, the tests that show it, and what a passed one says (`yes` else).
_COLUMNS: list[tuple[str, dict[str, str]]] = [
    (
        "first piece while the model still writes",
        {"test_first_piece_comes_while_the_model_still_writes": ""},
    ),
    (
        "reader leaves: model stops",
        {
            "test_a_reader_who_hangs_up_stops_the_model": "",
            "test_a_reader_who_hangs_up_before_the_first_byte_stops_the_model": "",
            "test_head_runs_nothing_to_its_end": "",
        },
    ),
    (f"{AT_ONCE} streams at once", {"test_fifty_streams_at_once": ""}),
    ("200 readers leave: no thread, no socket left", {"test_two_hundred_readers_leave_nothing_behind": ""}),
    ("worker killed: both sides end", {"test_a_killed_worker_ends_its_streams_at_both_sides": ""}),
    (
        "shutdown in mid-stream",
        {
            "test_a_graceful_shutdown_lets_the_stream_end": "completed",
            "test_a_stream_longer_than_the_grace_ends_at_both_sides": "",
            "test_a_server_without_grace_ends_its_streams_at_both_sides": "ended (the server has no grace)",
        },
    ),
    ("reload in mid-stream", {"test_a_reload_lets_the_stream_end_and_the_server_comes_back": "completed"}),
    (
        '`on_leave="finish"`, then shutdown',
        {"test_a_program_whose_reader_left_is_finished_and_saved_at_shutdown": "finished and saved"},
    ),
    (
        "behind nginx",
        {"test_nginx_passes_every_piece_on": ""},
    ),
]


class Report:
    """Collects what passed and what failed, and writes it down."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], bool] = {}
        self._took = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test has ended."""
        test, _, kind = report.nodeid.rpartition("::")[2].removesuffix("]").partition("[")
        self._outcomes[test, kind] = self._outcomes.get((test, kind), True) and report.passed
        self._took += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write it."""
        RESULTS.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The matrix as Markdown."""
        lines = [
            "| server | " + " | ".join(title for title, _ in _COLUMNS) + " |",
            "|---" * (len(_COLUMNS) + 1) + "|",
        ]
        for kind in KINDS.values():
            cells = [self._cell(kind, tests) for _, tests in _COLUMNS]
            lines.append(f"| {kind.name} | " + " | ".join(cells) + " |")
        passed = sum(self._outcomes.values())
        lines += ["", f"{passed} of {len(self._outcomes)} tests passed, in {self._took:.0f} s. {_versions()}."]
        return "\n".join(lines) + "\n"

    def _cell(self, kind: Kind, tests: dict[str, str]) -> str:
        ran = [
            (self._outcomes[test, kind.name], said)
            for test, said in tests.items()
            if (test, kind.name) in self._outcomes
        ]
        if not ran:
            return "–"
        if not all(passed for passed, _ in ran):
            return "**failed**"
        said = next((said for _, said in ran if said), "yes")
        if "test_fifty_streams_at_once" in tests and kind.at_once < AT_ONCE:
            said += f", {kind.at_once} at a time ({kind.at_once} workers)"
        return said


def _versions() -> str:
    packages = dict.fromkeys(["flask", *(package for kind in KINDS.values() for package in kind.packages)])
    nginx = subprocess.run([need("nginx"), "-v"], capture_output=True, text=True).stderr.rpartition("/")[2].strip()
    named = [f"{package} {version(package)}" for package in packages]
    return ", ".join([f"Python {platform.python_version()}", *named, f"nginx {nginx}"])
