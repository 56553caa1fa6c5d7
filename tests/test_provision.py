"""What is missing is told in one line, and nothing is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import provision


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with none of the programs, on which nobody may install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(provision, "_MORE_FOLDERS", ())
    monkeypatch.setattr(provision.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(provision, "NODE_FOLDER", tmp_path)


@pytest.mark.usefixtures("nothing_there")
@pytest.mark.parametrize(
    ("name", "package"), [("chromium", "chromium"), ("nginx", "nginx-light"), ("node", "nodejs"), ("npm", "npm")]
)
def test_a_test_that_needs_what_is_missing_fails_in_one_line_that_names_the_package(name: str, package: str) -> None:
    with pytest.raises(pytest.fail.Exception) as raised:
        provision.need(name)
    assert str(raised.value) == f"{name} is missing: apt-get install {package}"
    assert raised.value.pytrace is False


@pytest.mark.usefixtures("nothing_there")
def test_without_leave_to_install_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    provision.provision()
    assert capsys.readouterr().out == (
        "missing, and so the tests that need it fail: apt-get install chromium nginx-light nodejs npm\n"
    )


@pytest.mark.usefixtures("nothing_there")
def test_packages_of_npm_that_do_not_fit_their_lock_file_are_missing(tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(pytest.fail.Exception, match="node_modules are missing: run `npm ci`"):
        provision.need_node_modules()
