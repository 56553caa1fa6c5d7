"""What is built and installed is whole: a stream over real HTTP from the wheel alone."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import pathlib
import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer

assert "site-packages" in pathlib.Path(lms.__file__).parts, lms.__file__
with ScriptedServer("[[ ## answer ## ]]\\nTo get to the other side.\\n\\n[[ ## completed ## ]]\\n") as server:
    ask = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])
    with lms.context(lm=server.lm()):
        chunks = [event for event in ask(question="Why?")]
final = chunks.pop()
assert isinstance(final, lms.Prediction), final
assert len(chunks) > 1, chunks
assert "".join(chunk.chunk for chunk in chunks) == final.answer
print(final.answer)
"""


def run(*command: str | Path, cwd: Path) -> str:
    # Nothing of this process' environment may lead the other Python back to the checkout.
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))
    }
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", out, ROOT, cwd=out)
    return next(out.glob("lmstream_sync-*.whl"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lmstream_sync"}
    assert "lmstream_sync/py.typed" in names
    assert {name for name in names if name.endswith(".py")} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "lmstream_sync").rglob("*.py")
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stream_runs_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    assert run(python, "-c", PROGRAM, cwd=tmp_path).strip() == "To get to the other side."
