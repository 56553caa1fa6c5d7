"""The decoder of server-sent events, fed byte by byte, against the standard's algorithm written down as it stands."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from lmstream_sync.lm.sse_decoder import SSEDecoder

Event = tuple[str, bytes]


def oracle(stream: bytes) -> list[Event]:
    """HTML standard, 9.2.6, one character at a time: name and data of each event."""
    text = stream.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines, line = [], ""
    for at, character in enumerate(text):
        if character == "\n" and text[at - 1 : at] == "\r":
            continue
        if character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
    events: list[Event] = []
    data = name = ""
    for line in lines:
        if not line:
            if data:
                events.append((name, data[:-1].encode("utf-8", "surrogateescape")))
            data = name = ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "data":
                data += value + "\n"
            elif field == "event":
                name = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return events


def decoded(decoder: SSEDecoder, pieces: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        found = decoder.feed(piece)
        events += [((decoder.types or {}).get(place, ""), data) for place, data in enumerate(found)]
    return events


PARTS = [
    b"data: {}\n\n",
    b'data: {"a": "\xf0\x9f\x98\x80"}\n\n',
    b"data: x",
    b"data:y",
    b"data",
    b"data: ",
    b"datax: no",
    b": ping",
    b":",
    b"event: e",
    b"id: 1",
    b"retry: 5",
    b"\n",
    b"\n\n",
    b"\n\n\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    "\u2028\x0b\x0c\x85".encode(),
    "\ufeff".encode(),
    b"\xff",
]


@pytest.mark.parametrize("seed", range(40))
def test_it_reads_what_the_standard_reads_wherever_it_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        stream = b"".join(chance.choice(PARTS) for _ in range(chance.randrange(1, 16)))
        expected = oracle(stream)
        at = sorted(chance.randrange(len(stream) + 1) for _ in range(4))
        cuts = [[stream], [bytes([byte]) for byte in stream]]
        cuts.append([stream[start:end] for start, end in itertools.pairwise([0, *at, len(stream)])])
        cuts.append(re.split(rb"(?<=\n\n)", stream))  # as a server writes it: an event at a time
        for pieces in cuts:
            assert decoded(SSEDecoder(), pieces) == expected, pieces


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_place_of_one_cut(end: str) -> None:
    text = f"\ufeff: hi{end}{end}event: a{end}data: größe 😀{end}data{end}data:  \u2028{end}{end}data: [DONE]{end}{end}"
    stream = text.encode()
    expected = [("a", "größe 😀\n\n \u2028".encode()), ("", b"[DONE]")]
    assert oracle(stream) == expected
    for at in range(len(stream) + 1):
        assert decoded(SSEDecoder(), [stream[:at], stream[at:]]) == expected, at


def test_id_and_retry_are_remembered() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 7\nretry: 100\ndata: x\n\nid: bad\0\nretry: soon\n\n")
    assert (decoder.last_event_id, decoder.retry) == ("7", 100)
    decoder.feed(b"id\n\n")
    assert decoder.last_event_id == ""


@pytest.mark.parametrize(
    ("rest", "data", "inside"), [(b"data: x", [b"x"], True), (b"data: x\n", [b"x"], False), (b": c", [], True)]
)
def test_what_the_end_cut_off_is_given_apart(rest: bytes, data: list[bytes], inside: bool) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: whole\n\n" + rest) == [b"whole"]
    assert decoder.inside_a_line is inside
    assert decoder.finish() == data
    assert decoder.finish() == [] and not decoder.inside_a_line


def test_an_event_in_many_pieces_is_joined_once() -> None:
    """The work for a long event is in proportion to it: the pieces before its end are only kept."""
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    for _ in range(1_000):
        decoder.feed(b"x" * 10)
    assert decoder._held is not None and len(decoder._held) == 1_001
    assert decoder.feed(b"\n\n") == [b"x" * 10_000]
    assert decoder._held is None
