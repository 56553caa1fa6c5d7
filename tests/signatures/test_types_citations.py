"""`Citations` and `Document`: sources, and what is quoted of them."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import parse_value
from lmstream_sync.signatures.notes import type_note
from lmstream_sync.signatures.types import Citation, Citations, Document, Image

QUOTE = {
    "type": "char_location",
    "cited_text": "Water boils at 100 °C.",
    "document_index": 0,
    "document_title": "Facts",
    "start_char_index": 0,
    "end_char_index": 22,
}
PAGE = {
    "type": "page_location",
    "cited_text": "x",
    "document_index": 1,
    "start_page_number": 1,
    "end_page_number": 2,
    "file_id": "f",
}


def piece(fields: Any) -> Any:
    return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(provider_specific_fields=fields))])


def test_citations_are_a_sequence() -> None:
    made = Citations([QUOTE, PAGE])
    assert len(made) == 2 and bool(made) and not Citations()
    assert made[0].cited_text == QUOTE["cited_text"] and [one.type for one in made] == [
        "char_location",
        "page_location",
    ]
    assert made[1].start_page_number == 1 and made[1].model_extra == {"file_id": "f"}
    assert Citations([QUOTE]) + Citations([PAGE]) == made == Citations.from_dict_list([QUOTE, PAGE])
    assert made == Citations(made) == Citations(citations=[Citations.Citation(**QUOTE), Citation(**PAGE)])  # type: ignore[arg-type]
    assert made.model_dump() == {"citations": [QUOTE, PAGE]}
    assert "None" not in repr(made)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('[{"cited_text": "x"}]', 1),
        ('{"citations": [{"cited_text": "x"}, {"cited_text": "y"}]}', 2),
        ('{"cited_text": "x", "document_index": 0}', 1),
        ('```json\n[{"cited_text": "x"}]\n```', 1),
        ("[]", 0),
        ("None", 0),
        ("", 0),
    ],
)
def test_citations_in_a_reply(text: str, count: int) -> None:
    assert len(parse_value(Citations, text)) == count


@pytest.mark.parametrize("text", ["see page 3", '[{"text": "x"}]', "3"])
def test_what_are_no_citations_says_so_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_value(Citations, text)
    assert "\n" not in str(caught.value)


def test_citations_of_a_stream_and_of_a_whole_reply() -> None:
    assert Citations.is_streamable()
    assert Citations.parse_stream_chunk(piece({"citation": QUOTE})) == Citations([QUOTE])
    nothing = [piece(None), piece({}), piece({"citation": None}), piece({"citation": "x"}), SimpleNamespace(choices=[])]
    assert [Citations.parse_stream_chunk(one) for one in nothing] == [None] * len(nothing)
    by_block = [[QUOTE | {"supported_text": "It boils."}], None, [], [PAGE]]
    whole = Citations.parse_lm_response({"text": "x", "citations": by_block})
    assert whole is not None and [one.supported_text for one in whole] == ["It boils.", None]
    assert Citations.parse_lm_response({"text": "x", "citations": None}) is None
    assert Citations.parse_lm_response("x") is None


def test_the_prompt_asks_for_them_without_the_words_for_programmers() -> None:
    assert "cited_text" in type_note(Citations)
    assert "Args:" not in type_note(list[Citations]) and "Attributes" not in type_note(list[Citations])


def test_a_document_is_made_of(tmp_path: Path) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "Water."}
    whole = [{"type": "document", "source": text, "citations": {"enabled": True}, "title": "Facts", "context": "old"}]
    assert Document("Water.", title="Facts", context="old").format() == whole
    assert Document(data="Water.", title="Facts", context="old").format() == whole
    pdf = b"%PDF-1.7\n"
    (tmp_path / "facts.pdf").write_bytes(pdf)
    (tmp_path / "facts.txt").write_text("Water.")
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(pdf).decode()}
    for made in (Document.from_path(tmp_path / "facts.pdf"), Document(pdf, title="facts.pdf")):
        assert made.format()[0]["source"] == source and made.title == "facts.pdf"
    assert Document.from_path(str(tmp_path / "facts.txt"), title="T") == Document("Water.", title="T")
    assert len(repr(Document("x" * 10_000))) < 100


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Document(), "data: Field required"),
        (lambda: Document(3), "not a int"),
        (lambda: Document(b"\x89PNG\r\n\x1a\n"), "image/png"),
        (lambda: Document(b"\xff\x00"), "no text in UTF-8"),
        (lambda: Document("x", media_type="text/html"), "media_type"),
        (lambda: Document("x", name="T"), "name: Extra"),
        (lambda: Document.from_path("/no/such"), "there is no file"),
        (lambda: Document(Image("https://a/b")), "not a Image"),
    ],
)
def test_what_is_no_document_says_so(make: Any, complaint: str) -> None:
    with pytest.raises(lms.SignatureError, match=complaint):
        make()
