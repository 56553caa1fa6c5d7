"""Halves of a surrogate pair that came in two pieces are joined."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lmstream_sync.lm.surrogates import SurrogateJoiner, joined


def halves(text: str) -> list[str]:
    """A text as JavaScript cuts it: by UTF-16 units, each on its own."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_in_single_units_comes_back_whole(text: str) -> None:
    joiner = SurrogateJoiner()
    assert "".join(map(joiner.feed, halves(text))) + joiner.finish() == text


@given(st.lists(st.text()))
def test_whole_pieces_pass_at_once(pieces: list[str]) -> None:
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in pieces] == pieces


def test_a_lone_half_becomes_a_replacement_character() -> None:
    joiner = SurrogateJoiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("b") == "\ufffdb"
    assert joiner.feed("\ude00") == "\ufffd"
    assert joiner.feed("c\ud83d") + joiner.finish() == "c\ufffd"
    assert joined("\ud83d\ude00\ud83d") == "😀\ufffd"
