"""What a predictor tells whoever listens to its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent
from lmstream_sync.lm.engine import Delta
from lmstream_sync.program.observing import current_observer
from lmstream_sync.signatures import SignatureMeta
from lmstream_sync.testing import Reply

from .conftest import reply
from .test_predict import WAYS


class Listener:
    """Listens to every run, piece by piece, and writes down what it is told."""

    wants_raw = True

    def __init__(self, interested: bool = True) -> None:
        self.interested = interested
        self.begun: list[tuple[Any, list[str]]] = []
        self.text = ""
        self.fields: dict[str, list[tuple[str, bool]]] = {}
        self.flushed = 0
        self.waiting = 0
        self.hits = 0
        self.failures = 0
        self.restarts: list[str] = []

    def begin(self, predictor: Any, signature: SignatureMeta) -> Listener | None:
        self.begun.append((predictor, list(signature.output_fields)))
        return self if self.interested else None

    def saw(self, delta: Delta | None, fields: Sequence[FieldEvent]) -> None:
        self.waiting += 1
        self.text += (delta.content or "") if delta is not None and delta.index == 0 else ""
        for event in fields:
            assert isinstance(event, FieldDelta)
            self.fields.setdefault(event.field, []).append((event.text, event.last))

    def restart(self, reason: str) -> None:
        self.restarts.append(reason)
        self.fields.clear()

    async def flush(self) -> None:
        self.flushed += 1
        self.waiting = 0

    def failed(self) -> None:
        self.failures += 1

    def cache_hit(self) -> None:
        self.hits += 1

    def joined(self) -> dict[str, str]:
        return {name: "".join(text for text, _ in pieces) for name, pieces in self.fields.items()}


@pytest.fixture
def listener() -> Iterator[Listener]:
    """One that listens to the runs of this test."""
    listening = Listener()
    token = current_observer.set(listening)
    yield listening
    current_observer.reset(token)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_what_is_seen_is_what_comes_back(serve: Any, listener: Listener, way: Any, cut: int) -> None:
    text = reply(answer="a[[0]] matrix\n [[ ## nobody", score=" 3")
    server = serve(Reply(text, cut=cut))
    ask = lms.Predict("q -> answer, score: int")
    made = way(ask, q="?")
    assert server.requests[0].body["stream"] is True
    assert listener.begun == [(ask, ["answer", "score"])]
    assert listener.text == text
    assert listener.joined() == {"answer": made.raw("answer"), "score": made.raw("score")}
    assert listener.joined() == {"answer": "a[[0]] matrix\n [[ ## nobody", "score": "3"}
    assert all([last for _, last in pieces].count(True) == 1 for pieces in listener.fields.values())
    assert listener.waiting == 0 and listener.hits == 0


def test_a_run_that_nobody_listens_to_does_not_stream(serve: Any, listener: Listener) -> None:
    server = serve(reply(answer="yes"))
    listener.interested = False
    lms.Predict("q -> answer")(q="?")
    assert len(listener.begun) == 1 and not listener.fields
    assert not server.requests[0].body.get("stream")


@pytest.mark.parametrize("way", WAYS)
def test_a_cache_hit_is_told_and_has_no_pieces(serve: Any, listener: Listener, way: Any) -> None:
    serve(reply(answer="yes"), cache=True)
    for hits in (0, 1):
        listener.fields.clear()
        assert way(lms.Predict("q -> answer"), q=f"observed {way.__name__}").answer == "yes"
        assert listener.hits == hits
    assert not listener.fields


def test_of_several_choices_the_first_is_seen_and_all_come_back(serve: Any, listener: Listener) -> None:
    serve(Reply(reply(answer="yes"), cut=4))
    made = lms.Predict("q -> answer", n=2)(q="?")
    assert listener.joined() == {"answer": "yes"}
    assert made.completions.answer == ["yes", "yes"]


def test_a_reply_that_does_not_parse_is_an_error_after_all_it_had_was_seen(serve: Any, listener: Listener) -> None:
    serve(Reply("[[ ## answer ## ]]\nyes and no  ", cut=5))
    once = lms.ChatAdapter(use_json_adapter_fallback=False)
    with lms.context(adapter=once), pytest.raises(lms.AdapterParseError):
        lms.Predict("q -> answer, score: int")(q="?")
    assert listener.joined() == {"answer": "yes and no"} and listener.failures == 1
    assert listener.fields["answer"][-1][1] and listener.waiting == 0
    assert listener.failures == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_run_that_fails_says_so(serve: Any, listener: Listener, way: Any, status: int) -> None:
    serve(Reply(status=status), num_retries=0)
    with pytest.raises(lms.LMError):
        way(lms.Predict("q -> answer"), q="?")
    assert listener.failures == 1 and listener.restarts == []


def test_a_field_that_may_be_absent_gets_its_one_delta(serve: Any, listener: Listener) -> None:
    serve(reply(answer="yes"))
    made = lms.Predict(
        lms.Signature({"q": lms.InputField(), "answer": lms.OutputField(), "note": lms.OutputField(default="none")})
    )(q="?")
    assert made.note == "none"
    assert listener.fields["note"] == [("none", True)]


def test_nothing_is_begun_for_a_call_that_cannot_be(serve: Any, listener: Listener) -> None:
    serve(reply(answer="yes"))
    with pytest.raises(lms.SignatureError):
        lms.Predict("q -> answer")(other="?")
    assert listener.begun == []
