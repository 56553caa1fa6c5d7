"""Adapters of a user's own: with a reader, with `parse` alone, with neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.adapters import ChatReader
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, Finished
from lmstream_sync.callbacks import BaseCallback
from lmstream_sync.testing import Reply


class Lines(lms.Adapter):
    """`name: value`, a line each; read by `parse` alone."""

    def messages(self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": "\n".join(f"{name}: {value}" for name, value in inputs.items())}]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        found = dict(line.split(": ", 1) for line in completion.splitlines() if ": " in line)
        if not found:
            raise lms.AdapterParseError("no lines", adapter_name="Lines", lm_response=completion)
        return {name: int(text) if text.isdigit() else text for name, text in found.items()}


class UpperReader:
    """All of the reply is the first field, in capitals, piece by piece."""

    def __init__(self, name: str) -> None:
        self.name, self.text = name, ""

    def feed(self, text: str) -> list[FieldEvent]:
        self.text += text.upper()
        return [FieldDelta(self.name, text.upper(), False)]

    def finish(self) -> Finished:
        return Finished([FieldDelta(self.name, "", True)], {self.name: self.text})


class Capitals(Lines):
    """The same prompt, with a reader that streams."""

    def reader(self, signature: Any) -> UpperReader:
        return UpperReader(next(iter(signature.output_fields)))


class Corrected(lms.ChatAdapter):
    """A `parse` on top of a reader's: the values are its own."""

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        return {name: f"<{value}>" for name, value in super().parse(signature, completion).items()}


def streamed(program: Any, *fields: str, **inputs: Any) -> tuple[list[tuple[str, str, bool]], lms.Prediction]:
    listeners = [lms.StreamListener(field) for field in fields]
    chunks: list[tuple[str, str, bool]] = []
    for event in lms.streamify(program, stream_listeners=listeners)(**inputs):
        if isinstance(event, lms.StreamResponse):
            chunks.append((event.signature_field_name, event.chunk, event.is_last_chunk))
        elif isinstance(event, lms.Prediction):
            return chunks, event
    raise AssertionError("no Prediction")


def test_parse_alone_streams_each_field_whole_when_it_is_there(serve: Any) -> None:
    server = serve(Reply("answer: a pan\nscore: 7\n", cut=3))
    with lms.context(adapter=Lines()):
        chunks, made = streamed(lms.Predict("q -> answer, score: int"), "answer", "score", q="What?")
    assert server.requests[0].body["messages"] == [{"role": "user", "content": "q: What?"}]
    assert chunks == [("answer", "a pan", True), ("score", "7", True)]
    assert (made.answer, made.score, made.raw("score")) == ("a pan", 7, "7")


def test_parse_alone_without_a_listener(serve: Any) -> None:
    serve("answer: a pan")
    with lms.context(adapter=Lines()):
        assert lms.Predict("q -> answer")(q="?").answer == "a pan"


def test_what_parse_refuses_is_the_programs_error(serve: Any) -> None:
    serve(Reply("nothing of use", cut=2))
    with lms.context(adapter=Lines()), pytest.raises(lms.AdapterParseError, match="no lines"):
        streamed(lms.Predict("q -> answer"), "answer", q="?")


def test_a_field_that_parse_leaves_out_is_its_default_or_an_error(serve: Any) -> None:
    serve("answer: a pan")
    with lms.context(adapter=Lines()):
        signature = lms.Signature("q -> answer").append("note", lms.OutputField(default="none"))
        assert lms.Predict(signature)(q="?").note == "none"
        with pytest.raises(lms.AdapterParseError, match="Lines: the reply has no field 'score'"):
            lms.Predict("q -> answer, score: int")(q="?")


def test_a_reader_streams_and_gives_the_value(serve: Any) -> None:
    serve(Reply("a tin pan", cut=3))
    with lms.context(adapter=Capitals()):
        chunks, made = streamed(lms.Predict("q -> answer"), "answer", q="?")
    assert [text for _, text, _ in chunks] == ["A T", "IN ", "PAN", ""]
    assert made.answer == "A TIN PAN"


def test_a_parse_that_is_more_derived_than_the_reader_wins_and_what_streams_is_its_value(serve: Any) -> None:
    serve(Reply("[[ ## answer ## ]]\na pan\n[[ ## completed ## ]]", cut=4))
    with lms.context(adapter=Corrected()):
        chunks, made = streamed(lms.Predict("q -> answer"), "answer", q="?")
    assert chunks == [("answer", "<a pan>", True)]
    assert made.answer == "<a pan>" == made.raw("answer")


def test_the_callbacks_see_a_parse_once(serve: Any) -> None:
    class Hooks(BaseCallback):
        parsed = 0

        def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
            Hooks.parsed += 1

    for adapter in (lms.ChatAdapter(callbacks=[Hooks()]), Corrected(callbacks=[Hooks()])):
        serve(Reply("[[ ## answer ## ]]\na pan\n[[ ## completed ## ]]", cut=4))
        Hooks.parsed = 0
        with lms.context(adapter=adapter):
            streamed(lms.Predict("q -> answer"), "answer", q="?")
        assert Hooks.parsed == 1


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("messages", lambda adapter, signature: adapter.format(signature, [], {})),
        ("reader", lambda adapter, signature: adapter.new_reader(signature)),
        ("parse", lambda adapter, signature: adapter.parse(signature, "")),
        ("render", lambda adapter, signature: adapter.render(signature, {})),
    ],
)
def test_an_adapter_that_does_not_say_how_is_told_what_to_define(method: str, ask: Any) -> None:
    class Bare(lms.Adapter):
        pass

    with pytest.raises(lms.ConfigurationError, match=rf"Bare does not say how: define .*{method}\("):
        ask(Bare(), lms.Signature("q -> answer"))


def test_a_parse_that_asks_its_base_without_a_reader_is_an_error_and_no_endless_loop() -> None:
    class Lazy(lms.Adapter):
        def parse(self, signature: Any, completion: str) -> dict[str, Any]:
            return super().parse(signature, completion)

    with pytest.raises(lms.ConfigurationError, match="define reader"):
        Lazy().parse(lms.Signature("q -> answer"), "x")


def test_the_readers_are_exported() -> None:
    assert lms.adapters.ChatReader is ChatReader


@pytest.mark.parametrize(("gives", "said"), [(None, "it gave None"), (KeyError("x"), "KeyError: 'x'")])
def test_a_fault_of_parse_is_a_reply_that_does_not_parse(serve: Any, gives: Any, said: str) -> None:
    class Faulty(Lines):
        def parse(self, signature: Any, completion: str) -> Any:
            if isinstance(gives, Exception):
                raise gives
            return gives

    serve(Reply("answer: a pan", cut=3))
    with lms.context(adapter=Faulty()):
        for ask in (lms.Predict("q -> answer"), lambda q: streamed(lms.Predict("q -> answer"), "answer", q=q)):
            with pytest.raises(lms.AdapterParseError, match=said) as raised:
                ask(q="?")
            assert raised.value.adapter_name == "Faulty"


def test_a_reader_that_finishes_with_something_else_is_told_so(serve: Any) -> None:
    class Careless(UpperReader):
        def finish(self) -> Any:
            return None

    class Using(Lines):
        def reader(self, signature: Any) -> Careless:
            return Careless("answer")

    serve("a pan")
    with lms.context(adapter=Using()), pytest.raises(lms.ConfigurationError, match="Careless.finish"):
        lms.Predict("q -> answer")(q="?")
