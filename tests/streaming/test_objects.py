"""Types that stream in pieces of their own: each chunk is an instance."""

from __future__ import annotations

from typing import Any

import lmstream_sync as lms
from lmstream_sync.signatures.types import Type
from lmstream_sync.testing import Reply, read_sse

from .replies import chat


class Word(Type):
    """A word of the reply, in capitals."""

    text: str = ""

    @classmethod
    def is_streamable(cls) -> bool:
        return True

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> Any:
        content = chunk.choices[0].delta.content if chunk.choices else None
        return cls(text=content.upper()) if content and content.strip().isalpha() else None


def words() -> Any:
    signature = lms.Signature(
        {"q": (str, lms.InputField()), "answer": (str, lms.OutputField()), "words": (Word, lms.OutputField())}
    )
    return lms.streamify(
        lms.Predict(signature), stream_listeners=[lms.StreamListener("answer"), lms.StreamListener("words")]
    )


REPLY = Reply(
    pieces=["[[ ## answer ## ]]\n", "two", " eggs", '\n\n[[ ## words ## ]]\n{"text": "w"}', "\n\n[[ ## completed ## ]]"]
)


def test_chunks_are_instances_beside_the_undisturbed_answer(serve: Any) -> None:
    serve(REPLY)
    stream = words()(q="?")
    events = list(stream)
    shown = [e for e in events if isinstance(e, lms.StreamResponse) and e.signature_field_name == "words"]
    assert [e.chunk for e in shown if not e.is_last_chunk] == [Word(text="TWO"), Word(text=" EGGS")]
    assert [e.is_last_chunk for e in shown] == [False] * (len(shown) - 1) + [True]
    answer = [e.chunk for e in events if isinstance(e, lms.StreamResponse) and e.signature_field_name == "answer"]
    assert "".join(answer) == events[-1].answer == "two eggs"
    assert stream.partial["answer"] == "two eggs" and isinstance(stream.partial["words"], str)


def test_views_and_the_web_show_instances_as_json(serve: Any) -> None:
    serve([REPLY] * 2)
    assert list(words()(q="?").text("words"))[:2] == ['{"text": "TWO"}', '{"text": " EGGS"}']
    lines = read_sse("".join(lms.streaming_response(words()(q="?"))))
    chunks = [line["chunk"] for line in lines if "chunk" in line and line["chunk"]["signature_field_name"] == "words"]
    assert chunks[0]["chunk"] == {"text": "TWO"}


def test_partial_copes_with_chunks_that_are_no_text_before_the_end(serve: Any) -> None:
    server = serve(Reply(chat(answer="two eggs", words='{"text": "w"}'), cut=3, stall_after=10))
    stream = words()(q="?")
    next(stream)
    assert set(stream.partial) == {"answer", "words"} and all(isinstance(t, str) for t in stream.partial.values())
    stream.close()
    server.release()
