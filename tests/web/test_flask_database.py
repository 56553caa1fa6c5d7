"""Flask-SQLAlchemy in tools and in a synchronous `forward`: their connections go back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

import lmstream_sync as lms
from lmstream_sync.runtime.threads import worker_count
from lmstream_sync.testing import read_sse
from lmstream_sync.web.flask import programs_blueprint, stream_response, worker_context

from ..streaming.replies import chat
from .live import live


class Connections:
    """Counts the connections of an engine that are in use, and the most of them against the live workers."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._lock = threading.Lock()
        self.in_use = 0
        self.used = 0
        self.too_many: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        sqlalchemy.event.listen(engine, "checkout", self._out)
        sqlalchemy.event.listen(engine, "checkin", self._in)

    def _out(self, *_: Any) -> None:
        with self._lock:
            self.in_use += 1
            self.used += 1
            self.threads.add(threading.current_thread().name)
            if self.in_use > worker_count():
                self.too_many.append((self.in_use, worker_count()))

    def _in(self, *_: Any) -> None:
        with self._lock:
            self.in_use -= 1


class Shop:
    """An app with a database of teas in a file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.app = flask.Flask(__name__)
        # No limit to the pool: the test shall see how many are used, not how many are waited for.
        self.app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 2, "max_overflow": -1}
        self.db = db = SQLAlchemy()

        class Tea(db.Model):  # type: ignore[name-defined]
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            asked: Mapped[int] = mapped_column(default=0)

        self.tea = Tea
        db.init_app(self.app)
        with self.app.app_context():
            db.create_all()
            db.session.add(Tea(name="Assam"))
            db.session.commit()
            self.engine = db.engine
        self.engine.dispose()
        self.connections = Connections(self.engine)

    def look_up(self, name: str) -> str:
        """Find a tea."""
        found = self.db.session.scalars(self.db.select(self.tea).filter_by(name=name)).one()
        return f"number {found.id}"


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    made = Shop(tmp_path / "tea.sqlite")
    yield made
    made.engine.dispose()


class Searches(lms.Module):
    """Looks up a tea by a tool, and reads the database itself, in a worker."""

    def __init__(self, shop: Shop) -> None:
        self.look_up = lms.Tool(shop.look_up)
        self.ask = lms.Predict("question, found -> answer")
        self.shop = shop

    def forward(self, question: str) -> Any:
        count = self.shop.db.session.query(self.shop.tea).count()
        return self.ask(question=question, found=f"{self.look_up(name='Assam')} of {count}")


class Awaits(lms.Module):
    """Calls the tool from the loop, so that it runs in a worker of its own."""

    def __init__(self, shop: Shop) -> None:
        self.look_up = lms.Tool(shop.look_up)
        self.ask = lms.Predict("question, found -> answer")

    async def aforward(self, question: str) -> Any:
        return await self.ask.acall(question=question, found=await self.look_up.acall(name="Assam"))


@pytest.mark.parametrize("program", [Searches, Awaits])
def test_two_hundred_streams_use_no_more_connections_than_there_are_workers(
    model: Any, shop: Shop, program: Any
) -> None:
    server = model(chat(answer="It is there."))
    lms.configure(worker_hooks=(worker_context(shop.app),))
    shop.app.register_blueprint(programs_blueprint({"ask": program(shop)}))
    wrong: list[Any] = []
    with live(shop.app) as site:

        def read() -> None:
            for _ in range(10):
                events = read_sse(site.get("/programs/ask?question=Where").body)
                if events[-1] != {"prediction": {"answer": "It is there."}}:
                    wrong.append(events)

        readers = [threading.Thread(target=read) for _ in range(20)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(50)
    assert not wrong and server.request_count == 200
    assert "found ## ]]\nnumber 1" in server.requests[-1].prompt
    connections = shop.connections
    assert connections.used >= 200
    assert connections.threads == {"lmstream-worker"}
    assert connections.too_many == []
    assert connections.in_use == 0
    assert shop.engine.pool.checkedin() <= 2  # type: ignore[attr-defined]  # of a QueuePool


def test_a_tool_that_raises_gives_its_connection_back_and_writes_nothing(model: Any, shop: Shop) -> None:
    model(chat(answer="It is there."))
    lms.configure(worker_hooks=(worker_context(shop.app),))

    def count(question: str) -> str:
        shop.db.session.scalars(shop.db.select(shop.tea)).one().asked += 1
        shop.db.session.flush()
        raise KeyError(question)

    with pytest.raises(KeyError):
        lms.streamify(count)(question="Where").result()
    assert shop.connections.in_use == 0
    with shop.app.app_context():
        assert shop.db.session.scalars(shop.db.select(shop.tea)).one().asked == 0


def test_a_view_and_its_program_have_sessions_of_their_own(model: Any, shop: Shop) -> None:
    """Else two threads would use one session, and what the view has begun would be the program's."""
    model(chat(answer="It is there."))
    lms.configure(worker_hooks=(worker_context(shop.app),))
    sessions: list[int] = []

    def note(question: str) -> str:
        sessions.append(id(shop.db.session()))
        return f"{flask.request.path} {question}"

    @shop.app.get("/ask")
    def ask() -> Any:
        mine = shop.db.session()
        sessions.append(id(mine))
        stream = lms.streamify(note)(question="Where")
        assert stream.result() == "/ask Where"
        assert shop.db.session() is mine
        return stream_response(stream)

    with live(shop.app) as site:
        assert site.get("/ask").status == 200
    assert len(set(sessions)) == 2


def test_on_end_saves_with_a_session_of_its_own_and_gives_its_connection_back(model: Any, shop: Shop) -> None:
    model(chat(answer="It is there."))
    saved = threading.Event()

    def save(stream: lms.Stream) -> None:
        shop.db.session.add(shop.tea(name=stream.partial["answer"]))
        shop.db.session.commit()
        saved.set()

    app = shop.app
    app.register_blueprint(programs_blueprint({"ask": lms.Predict("question -> answer")}, on_end=save))
    with live(app) as site:
        site.get("/programs/ask?question=Where")
    assert saved.is_set()
    assert shop.connections.in_use == 0
    with app.app_context():
        names = shop.db.session.scalars(shop.db.select(shop.tea.name)).all()
    assert names == ["Assam", "It is there."]
