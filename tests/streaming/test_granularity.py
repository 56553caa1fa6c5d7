"""`granularity="item"` and `"value"`: completed items of a list, and the value so far."""

from __future__ import annotations

import datetime
import enum
import json
import random
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.adapters import JSONAdapter, XMLAdapter
from lmstream_sync.program import Parallel
from lmstream_sync.signatures import Field
from lmstream_sync.signatures.values import parse_value
from lmstream_sync.streaming.partial_field import partial_field
from lmstream_sync.streaming.portion import Portion
from lmstream_sync.testing import Reply, read_sse

from .replies import chat


class Step(pydantic.BaseModel):
    title: str
    minutes: int = 0


def streamed(annotation: Any, granularity: str, **listener: Any) -> Callable[..., lms.Stream]:
    """A program with one output field of a type, listened to."""
    signature = lms.Signature({"q": (str, lms.InputField()), "out": (annotation, lms.OutputField())})
    return lms.streamify(
        lms.Predict(signature), stream_listeners=[lms.StreamListener("out", granularity=granularity, **listener)]
    )


def responses(events: list[Any]) -> list[Any]:
    return [e for e in events if isinstance(e, (lms.StreamResponse, lms.StreamRestart))]


def shape(events: list[Any]) -> list[Any]:
    """Chunks with their last marks; a restart as its class."""
    return [
        (e.chunk, e.is_last_chunk) if isinstance(e, lms.StreamResponse) else lms.StreamRestart
        for e in responses(events)
    ]


# Items.


def test_items_come_one_by_one_each_when_it_is_known_whether_it_is_the_last(serve: Any) -> None:
    serve(
        Reply(pieces=["[[ ## out ## ]]\n", "[", '"one"', ", ", '"t', 'wo", "three"', " ]", "\n\n[[ ## completed ## ]]"])
    )
    stream = streamed(list[str], "item")(q="?")
    events = list(stream)
    assert shape(events) == [("one", False), ("two", False), ("three", True)]
    assert stream.result().out == ["one", "two", "three"]
    assert stream.partial == {"out": stream.result().raw("out")}


def test_an_item_does_not_wait_for_the_end_of_the_reply(serve: Any) -> None:
    server = serve(Reply(pieces=["[[ ## out ## ]]\n[1", ",", "2", "]\n[[ ## completed ## ]]"], stall_after=2))
    stream = streamed(list[int], "item")(q="?")
    first = next(stream)
    assert (first.chunk, first.is_last_chunk) == (1, False)
    server.release()
    assert shape(list(stream)) == [(2, True)]


def test_items_are_of_the_lists_item_type(serve: Any) -> None:
    serve(Reply(chat(out='[{"title": "Whisk"}, {"title": "Fry", "minutes": "3"}]'), cut=5))
    events = list(streamed(list[Step], "item")(q="?"))
    assert shape(events) == [(Step(title="Whisk"), False), (Step(title="Fry", minutes=3), True)]
    assert events[-1].out == [Step(title="Whisk"), Step(title="Fry", minutes=3)]


def test_an_item_that_does_not_fit_comes_as_it_is_before_the_error(serve: Any) -> None:
    serve([Reply(chat(out='[{"title": "Whisk"}, {"name": "Fry"}]'), cut=5)] * 2)
    given: list[Any] = []
    program = streamed(list[Step], "item")
    with lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        stream = program(q="?")
    with pytest.raises(lms.AdapterParseError):
        for event in stream:
            given.append(event)
    assert shape(given) == [(Step(title="Whisk"), False), ({"name": "Fry"}, True)]
    assert stream.partial["out"] == '[{"title": "Whisk"}, {"name": "Fry"}]'


@pytest.mark.parametrize("text", ["[]", "[ ]"])
def test_an_empty_list_closes_with_none(serve: Any, text: str) -> None:
    serve(Reply(chat(out=text), cut=1))
    assert shape(list(streamed(list[int], "item")(q="?"))) == [(None, True)]


def test_a_trailing_comma_closes_with_none(serve: Any) -> None:
    serve(Reply(chat(out="[1, 2, ]"), cut=1))
    events = list(streamed(list[int], "item")(q="?"))
    assert shape(events) == [(1, False), (2, False), (None, True)]
    assert events[-1].out == [1, 2]


@pytest.mark.parametrize(
    "text",
    ["['a', 'b']", '["a", "b"', '["a", // first\n "b"]', '```json\n["a", "b"]\n```', 'Sure: ["a", "b"]', '("a", "b")'],
)
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_text_that_is_no_plain_json_gives_its_items_all_the_same(serve: Any, text: str, cut: int) -> None:
    serve(Reply(chat(out=text), cut=cut))
    events = list(streamed(list[str], "item")(q="?"))
    assert shape(events) == [("a", False), ("b", True)]
    assert events[-1].out == ["a", "b"]


def test_items_that_turn_out_to_be_others_are_given_anew(serve: Any) -> None:
    serve(Reply(chat(out="See [1]: ```json\n[2, 3]\n```"), cut=2))
    stream = streamed(list[int], "item")(q="?")
    events = list(stream)
    assert shape(events) == [(1, True), lms.StreamRestart, (2, False), (3, True)]
    restart = responses(events)[1]
    assert (restart.predict_name, restart.signature_field_name) == ("self", "out") and restart.reason
    assert events[-1].out == [2, 3]
    assert stream.partial["out"] == events[-1].raw("out")


def test_a_whole_list_in_one_piece_is_several_events(serve: Any) -> None:
    serve(Reply(pieces=[chat(out="[1, 2, 3]")]))
    assert shape(list(streamed(list[int], "item")(q="?"))) == [(1, False), (2, False), (3, True)]


def test_a_type_that_sorts_what_it_is_given_is_still_what_the_items_come_to(serve: Any) -> None:
    sorted_list = pydantic.AfterValidator(sorted)
    serve(Reply(chat(out="[3, 1, 2]"), cut=1))
    events = list(streamed(Annotated[list[int], sorted_list], "item")(q="?"))
    after = shape(events)[shape(events).index(lms.StreamRestart) + 1 :]
    assert after == [(1, False), (2, False), (3, True)] and events[-1].out == [1, 2, 3]


def test_an_optional_list_that_is_none_closes_with_none(serve: Any) -> None:
    serve(Reply(chat(out="null"), cut=1))
    assert shape(list(streamed(list[int] | None, "item")(q="?"))) == [(None, True)]


def test_a_list_left_out_gives_its_default(serve: Any) -> None:
    serve(Reply(chat(other="x"), cut=2))
    signature = lms.Signature(
        {
            "q": (str, lms.InputField()),
            "other": (str, lms.OutputField()),
            "out": (list[int], lms.OutputField(default=[7, 8])),
        }
    )
    program = lms.streamify(lms.Predict(signature), stream_listeners=[lms.StreamListener("out", granularity="item")])
    events = list(program(q="?"))
    assert shape(events) == [(7, False), (8, True)] and events[-1].out == [7, 8]


def test_the_items_of_a_set_come_as_they_stand_in_the_reply(serve: Any) -> None:
    serve(Reply(chat(out="[3, 1, 3]"), cut=1))
    events = list(streamed(set[int], "item")(q="?"))
    assert shape(events) == [(3, False), (1, False), (3, True)] and events[-1].out == {1, 3}


# Every adapter.


@pytest.mark.parametrize("adapter", [lms.ChatAdapter, JSONAdapter, XMLAdapter])
@pytest.mark.parametrize("granularity", ["item", "value"])
def test_what_was_given_is_what_came_back_for_every_adapter_and_random_cuts(
    serve: Any, adapter: Any, granularity: str
) -> None:
    random_ = random.Random(17)
    titles = ["", "a < b & c", "[[ ## out ## ]]", "</out>", 'say "hi"\\n', "é😀\u2028", "line\nline"]
    signature = lms.Signature({"q": (str, lms.InputField()), "out": (list[Step], lms.OutputField())})
    replies, wanted = [], []
    for _ in range(15):
        wanted.append([Step(title=random_.choice(titles), minutes=n) for n in range(random_.randrange(4))])
        text = adapter().render(signature, {"out": wanted[-1]})
        places = sorted(random_.randrange(len(text) + 1) for _ in range(random_.randrange(30)))
        pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True) if a < b]
        replies.append(Reply(pieces=pieces))
    serve(replies)
    program = streamed(list[Step], granularity)
    with lms.context(adapter=adapter()):
        for value in wanted:
            stream = program(q="?")
            events = list(stream)
            given = shape(events)
            assert events[-1].out == value and lms.StreamRestart not in given
            assert [last for _, last in given] == [False] * (len(given) - 1) + [True]
            if granularity == "item":
                assert [chunk for chunk, _ in given] == (value or [None])
            else:
                assert given[-1][0] == [each.model_dump() for each in value]
            assert stream.partial["out"] == events[-1].raw("out")


@pytest.mark.parametrize(
    "text", ["{'out': ['a', 'b']}", '{"out": ["a", "b"', '{"out": ["a", "b",], }', '{"out": "[\\"a\\", \\"b\\"]"}']
)
@pytest.mark.parametrize("granularity", ["item", "value"])
def test_replies_that_are_nearly_json(serve: Any, text: str, granularity: str) -> None:
    serve(Reply(text, cut=3))
    with lms.context(adapter=JSONAdapter()):
        events = list(streamed(list[str], granularity)(q="?"))
    given = shape(events)
    while lms.StreamRestart in given:
        given = given[given.index(lms.StreamRestart) + 1 :]
    if granularity == "item" and given[-1] == (None, True):
        del given[-1]
    chunks = [chunk for chunk, _ in given]
    assert (chunks if granularity == "item" else chunks[-1]) == events[-1].out == ["a", "b"]


# Values.


def test_the_value_grows_and_is_one_object(serve: Any) -> None:
    pieces = [
        '[[ ## out ## ]]\n{"ti',
        'tle"',
        ': "Wh',
        "isk",
        '", "min',
        'utes": 1',
        "2",
        "}",
        "\n\n[[ ## completed ## ]]",
    ]
    serve(Reply(pieces=pieces))
    seen, objects = [], []
    for event in streamed(Step, "value")(q="?"):
        if isinstance(event, lms.StreamResponse):
            seen.append((json.dumps(event.chunk), event.is_last_chunk))
            objects.append(event.chunk)
        else:
            final = event
    assert seen == [
        ("{}", False),
        ('{"title": "Wh"}', False),
        ('{"title": "Whisk"}', False),
        ('{"title": "Whisk", "minutes": 12}', False),
        ('{"title": "Whisk", "minutes": 12}', True),
    ]
    assert all(each is objects[0] for each in objects)
    assert final.out == Step(title="Whisk", minutes=12)


def test_peek_shows_the_value_without_letting_it_grow_twice(serve: Any) -> None:
    serve(Reply(chat(out='{"title": "Whisk the eggs"}'), cut=3))
    stream = streamed(Step, "value")(q="?")
    for event in iter(stream.peek, None):
        if isinstance(event, lms.Prediction):
            break
        seen = json.dumps(event.chunk)
        assert stream.peek() is event
        assert next(stream) is event and json.dumps(event.chunk) == seen
    assert seen == '{"title": "Whisk the eggs"}'


def test_what_the_reader_does_to_the_value_disturbs_nothing_but_itself(serve: Any) -> None:
    serve(Reply(chat(out='Look: {"a": {"b": "x"}, "c": [1, 2]}'), cut=1))
    stream = streamed(dict[str, Any], "value")(q="?")
    for event in stream:
        if isinstance(event, lms.StreamResponse) and event.is_last_chunk:
            event.chunk.clear()
    assert stream.result().out == {"a": {"b": "x"}, "c": [1, 2]}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "12", 12),
        (bool, "true", True),
        (Literal["yes", "no"], "yes", "yes"),
        (int | None, "null", None),
        (enum.Enum("Color", {"RED": "red"}), "red", "red"),
        (datetime.date, "2024-02-29", "2024-02-29"),
    ],
)
def test_a_value_that_is_no_container_comes_whole_at_its_end(
    serve: Any, annotation: Any, text: str, value: Any
) -> None:
    serve(Reply(chat(out=text), cut=1))
    assert shape(list(streamed(annotation, "value")(q="?"))) == [(value, True)]


@pytest.mark.parametrize(
    "text",
    [
        "{'title': 'Fry', 'minutes': 3}",
        '{"title": "Fry", "minutes": 3',
        '```json\n{"title": "Fry", "minutes": 3,}\n```',
    ],
)
@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_a_value_that_is_no_plain_json_ends_as_it_was_meant(serve: Any, text: str, cut: int) -> None:
    serve(Reply(chat(out=text), cut=cut))
    events = list(streamed(Step, "value")(q="?"))
    assert lms.StreamRestart not in shape(events)
    assert shape(events)[-1] == ({"title": "Fry", "minutes": 3}, True)
    assert [last for _, last in shape(events)].count(True) == 1
    assert events[-1].out == Step(title="Fry", minutes=3)


def test_a_value_that_turns_out_to_be_another_begins_again_with_a_new_object(serve: Any) -> None:
    serve(Reply(chat(out='Like {"title": "no"}: ```json\n{"title": "yes"}\n```'), cut=1))
    events = list(streamed(Step, "value")(q="?"))
    at = shape(events).index(lms.StreamRestart)
    before, after = responses(events)[at - 1], responses(events)[at + 1 :]
    assert before.chunk == {"title": "no"}
    assert [(e.chunk, e.is_last_chunk) for e in after] == [({"title": "yes", "minutes": 0}, True)]
    assert events[-1].out == Step(title="yes")


# Both, pure, over random values and cuts.


def random_list(random_: random.Random) -> list[Any]:
    def one(depth: int) -> Any:
        kind = random_.randrange(6 if depth < 2 else 4)
        if kind < 2:
            return "".join(random_.choice('ab"\\\n é😀]}{[,') for _ in range(random_.randrange(8)))
        if kind < 4:
            return random_.choice([None, True, 0, -1.5, 10**20])
        if kind == 4:
            return [one(depth + 1) for _ in range(random_.randrange(3))]
        return {random_.choice("abc"): one(depth + 1) for _ in range(random_.randrange(3))}

    return [one(0) for _ in range(random_.randrange(5))]


def noisy(random_: random.Random, value: Any) -> str:
    """A value as models write it, more or less."""
    text = json.dumps(value, ensure_ascii=random_.random() < 0.5, indent=random_.choice([None, 2]))
    kind = random_.randrange(10)
    if kind == 0:
        return f"```json\n{text}\n```"
    if kind == 1:
        return f"Here you are: {text}"
    if kind == 2:
        return f"{text}\n\nThat is [all]."
    if kind == 3:
        return text[:-1] + ",]"
    if kind == 4:
        return repr(value)
    if kind == 5:
        return text[: random_.randrange(1, len(text) + 1)]
    return text


@pytest.mark.parametrize("granularity", ["item", "value"])
def test_what_was_given_is_the_final_value_for_random_replies_and_cuts(granularity: str) -> None:
    random_ = random.Random(13)
    field = Field("output", "out", list[Any])
    plain = restarted = 0
    for _ in range(2000):
        text = noisy(random_, random_list(random_)).strip()
        places = sorted(random_.randrange(len(text) + 1) for _ in range(random_.randrange(15)))
        pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        try:
            want = parse_value(field, text)
        except ValueError:
            continue
        streaming = partial_field(granularity, "self", field)
        given: list[Any] = []
        told, ends, value = "", 0, None
        for number, piece in enumerate(pieces, 1):
            for sent in streaming.take(piece, number == len(pieces)):
                if not isinstance(sent, Portion):
                    given, told, ends, value = [], "", 0, None
                    restarted += 1
                    continue
                told += sent.text
                event = sent.event()
                if event is None:
                    continue
                assert not ends
                ends += event.is_last_chunk
                value = event.chunk
                if not sent.bare:
                    given.append(event.chunk)
        assert ends == 1 and told == text
        assert (given if granularity == "item" else value) == want, pieces
        plain += 1
    assert plain > 1500 and restarted < plain // 4


def test_what_the_reader_holds_grows_only_when_he_takes_the_next_chunk() -> None:
    streaming = partial_field("value", "self", Field("output", "out", list[Any]))
    (first,) = streaming.take("[1, ", False)
    chunk = first.event().chunk
    (second,) = streaming.take("2, ", False)
    assert chunk == [1]
    assert second.event().chunk is chunk and second.event() is second.event() and chunk == [1, 2]


@pytest.mark.parametrize("granularity", ["item", "value"])
def test_the_work_is_linear_in_the_reply(granularity: str) -> None:
    def work(count: int) -> int:
        text = json.dumps([{"title": "Whisk \u00e9 the eggs\n", "minutes": n} for n in range(count)])
        streaming = partial_field(granularity, "self", Field("output", "out", list[Step]))
        calls = 0

        def seen(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(seen)
        try:
            for at in range(0, len(text), 4):
                for sent in streaming.take(text[at : at + 4], at + 4 >= len(text)):
                    sent.event()
        finally:
            sys.setprofile(None)
        return calls

    assert work(2_000) < 105 * work(20)


# Misuse.


@pytest.mark.parametrize("annotation", [str, int, Step, dict[str, int], Literal["a"], str | None, datetime.date])
def test_items_of_what_is_no_list_are_refused_where_it_is_streamified(annotation: Any) -> None:
    with pytest.raises(lms.ListenerError, match=r"'out'.*no items"):
        streamed(annotation, "item")


@pytest.mark.parametrize("annotation", [str, str | None])
def test_the_partial_value_of_text_is_refused(annotation: Any) -> None:
    with pytest.raises(lms.ListenerError, match='granularity="text"'):
        streamed(annotation, "value")


def test_another_word_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match='"text".*"item".*"value"'):
        lms.StreamListener("out", granularity="items")


def test_two_ways_for_one_field_are_refused() -> None:
    listeners = [lms.StreamListener("out"), lms.StreamListener("out", granularity="item")]
    with pytest.raises(lms.ListenerError, match="two listeners"):
        lms.streamify(lms.Predict("q -> out: list[int]"), stream_listeners=listeners)


def test_a_type_that_is_known_only_at_run_time_is_refused_then(serve: Any) -> None:
    serve(chat(out="x"))

    def program() -> Any:
        return lms.Predict("q -> out")(q="?")

    stream = lms.streamify(program, stream_listeners=[lms.StreamListener("out", granularity="item")])()
    with pytest.raises(lms.ListenerError, match="no items"):
        list(stream)


# Reading in terms of fields.


def test_snapshots_of_items_are_the_list_so_far(serve: Any) -> None:
    serve(Reply(chat(out="[1, 2, 3]"), cut=1))
    with streamed(list[int], "item")(q="?").snapshots() as snapshots:
        assert [list(each) for each in snapshots] == [[1], [1, 2], [1, 2, 3]]


def test_snapshots_of_an_empty_list(serve: Any) -> None:
    serve(Reply(chat(out="[]"), cut=1))
    assert list(streamed(list[int], "item")(q="?").snapshots("out")) == [[]]


def test_snapshots_of_a_value_are_the_value_so_far(serve: Any) -> None:
    serve(Reply(chat(out='{"title": "Fry"}'), cut=4))
    seen = [json.dumps(each) for each in streamed(Step, "value")(q="?").snapshots()]
    assert seen[0] == "{}" and seen[-1] == '{"title": "Fry"}'
    assert all(a != b for a, b in zip(seen[:-2], seen[1:-1], strict=True))


def test_text_gives_the_text_that_items_are_read_from(serve: Any) -> None:
    serve(Reply(chat(out="[1,  2]"), cut=1))
    assert "".join(streamed(list[int], "item")(q="?").text()) == "[1,  2]"


def test_a_cache_hit_gives_the_predictions_value(serve: Any) -> None:
    serve(chat(out='[{"title": "Fry"}]'), cache=True)
    items, value = streamed(list[Step], "item"), streamed(list[Step], "value")
    list(items(q="granularity, cached"))
    assert [list(each) for each in items(q="granularity, cached").snapshots()] == [[Step(title="Fry")]]
    assert list(value(q="granularity, cached").snapshots()) == [[{"title": "Fry", "minutes": 0}]]


def test_partial_has_the_text_that_was_handed_out(serve: Any) -> None:
    server = serve(Reply(chat(out="[1, 2, 3]"), cut=1, stall_after=len("[[ ## out ## ]]\n[1, 2, ")))
    stream = streamed(list[int], "item")(q="?")
    assert [next(stream).chunk, next(stream).chunk] == [1, 2]
    assert stream.partial == {"out": "[1, 2,"}
    stream.close()
    server.release()
    assert stream.partial == {"out": "[1, 2,"}


# On the web.


class Color(enum.Enum):
    RED = "red"


class Plan(pydantic.BaseModel):
    day: datetime.date
    color: Color
    steps: list[Step]


def test_items_and_values_are_json_on_the_web(serve: Any) -> None:
    plan = '{"day": "2024-02-29", "color": "red", "steps": [{"title": "Fry", "minutes": 1}]}'
    serve([chat(out=f"[{plan}]"), chat(out=plan)])
    items = read_sse("".join(lms.streaming_response(streamed(list[Plan], "item")(q="?"))))
    assert items[0]["chunk"]["chunk"] == json.loads(plan)
    assert items[-1]["prediction"]["out"] == [json.loads(plan)]
    values = read_sse("".join(lms.streaming_response(streamed(Plan, "value")(q="?"))))
    assert [each for each in values if "chunk" in each][-1]["chunk"]["chunk"] == json.loads(plan)


# Runs.


def test_each_run_has_its_own_value_with_reuse(serve: Any) -> None:
    serve([chat(out='{"title": "one"}'), chat(out='{"title": "two"}')])
    ask = lms.Predict(lms.Signature({"q": (str, lms.InputField()), "out": (Step, lms.OutputField())}))

    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = ask

        def forward(self, q: str) -> Any:
            self.ask(q=q)
            return self.ask(q=q)

    listener = lms.StreamListener("out", granularity="value", allow_reuse=True)
    events = list(lms.streamify(Twice(), stream_listeners=[listener])(q="?"))
    last = [e.chunk for e in responses(events) if e.is_last_chunk]
    assert last == [{"title": "one"}, {"title": "two"}] and last[0] is not last[1]


def test_listeners_of_one_predictor_see_the_same_first_run(serve: Any) -> None:
    """Two threads begin it at once: whichever is first, both fields come from it, and nothing of the other."""
    replies = {"0": chat(a="a0", b="b0"), "1": chat(a="a1", b="b1")}
    serve(
        lambda request: next(reply for q, reply in replies.items() if f"\n{q}\n" in request["messages"][-1]["content"])
    )

    class Both(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> a, b")

        def forward(self) -> Any:
            barrier = threading.Barrier(2)

            def one(q: str) -> None:
                barrier.wait(10)
                self.ask(q=q)

            return Parallel(num_threads=2)([(one, {"q": "0"}), (one, {"q": "1"})])

    program = lms.streamify(Both(), stream_listeners=[lms.StreamListener("a"), lms.StreamListener("b")])
    for _ in range(10):
        texts = {"a": "", "b": ""}
        for event in program():
            if isinstance(event, lms.StreamResponse):
                texts[event.signature_field_name] += event.chunk
        assert texts in ({"a": "a0", "b": "b0"}, {"a": "a1", "b": "b1"})
