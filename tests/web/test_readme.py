"""The README's files for Flask, Django and bare WSGI, copied into an empty folder, run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmstream_sync.testing import Reply, ScriptedServer, read_sse
from tests.web.servers.running import RunningServer

README = Path(__file__).resolve().parents[2] / "README.md"

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gthread", "--threads", "4"]
GUNICORN_LISTENS = r"Listening at: http://127\.0\.0\.1:(\d+)"
UVICORN_LISTENS = r"running on http://127\.0\.0\.1:(\d+)"

SAYS = "[[ ## answer ## ]]\nTo get to the other side.\n\n[[ ## completed ## ]]"
TEXT = "To get to the other side."


def written(name: str) -> str:
    """The file of that name in the README."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(f"# {name}")]
    return str(found)


@contextmanager
def running(module: Sequence[str], listening: str, folder: Path, key: str = "a-key") -> Iterator[str]:
    """The address of a server that runs the README's file, with a model behind it."""
    with ScriptedServer(Reply(SAYS, cut=5), api_key="a-key") as model:
        environment = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": key}
        server = RunningServer([sys.executable, "-m", *module], environment, listening, folder)
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()


def asked(url: str) -> Any:
    """The answer of a view to a question, put together of its pieces."""
    question = f"Why {url}?"  # one that is not in the cache
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode({'question': question})}", timeout=30) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = read_sse(response.read())
    assert events[-1] == {"prediction": {"answer": TEXT}}
    assert len(events) > 3
    return "".join(event["chunk"]["chunk"] for event in events if "chunk" in event)


def refused(url: str) -> tuple[int, Any]:
    """The status and the JSON of a view that refuses."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url, timeout=30)
    return raised.value.code, json.load(raised.value)


def test_flask(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(written("app.py"))
    with running([*GUNICORN, "app:app"], GUNICORN_LISTENS, tmp_path) as url:
        assert asked(f"{url}/ask") == TEXT
        assert asked(f"{url}/programs/answer") == TEXT
        status, told = refused(f"{url}/programs/answer")
        assert (status, told["error"]["field"]) == (422, "question")


def test_flask_with_a_wrong_key(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(written("app.py"))
    with running([*GUNICORN, "app:app"], GUNICORN_LISTENS, tmp_path, key="another") as url:
        assert refused(f"{url}/ask?question=Why") == (
            401,
            {"error": {"type": "AuthenticationError", "message": "The answer could not be completed."}},
        )


@pytest.mark.parametrize(
    ("module", "listening"),
    [
        ([*GUNICORN, "mysite.wsgi"], GUNICORN_LISTENS),
        (["uvicorn", "--port", "0", "mysite.asgi:application"], UVICORN_LISTENS),
    ],
    ids=["wsgi", "asgi"],
)
def test_django(tmp_path: Path, module: list[str], listening: str) -> None:
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", "."], cwd=tmp_path, check=True)
    with (tmp_path / "mysite" / "settings.py").open("a") as settings:
        settings.write(written("mysite/settings.py"))
    (tmp_path / "mysite" / "urls.py").write_text(written("mysite/urls.py"))
    with running(module, listening, tmp_path) as url:
        for view in ("ask", "ask-too", "program"):
            assert asked(f"{url}/{view}") == TEXT
        status, told = refused(f"{url}/program")
        assert (status, told["error"]["field"]) == (422, "question")


def test_bare_wsgi(tmp_path: Path) -> None:
    (tmp_path / "wsgi.py").write_text(written("wsgi.py"))
    with running([*GUNICORN, "wsgi:app"], GUNICORN_LISTENS, tmp_path) as url:
        assert asked(f"{url}/") == TEXT
        status, told = refused(f"{url}/?query=Why")
        assert (status, told["error"]["field"]) == (422, "query")
