"""`Image`, `Audio`, `File`: what they are made of, what goes over the wire, what is refused."""

from __future__ import annotations

import base64
import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures.types import Audio, File, Image

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
JPEG = b"\xff\xd8\xff\xe0" + b"pixels"
MP3 = b"ID3\x04" + b"sound"
WAV = b"RIFF\0\0\0\0WAVEfmt "
PDF = b"%PDF-1.7\n"


def url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


class Upload(io.BytesIO):
    """What Flask and Django give for an uploaded file."""

    filename = "folder/report.pdf"


class Pillow:
    """What of a PIL image is used."""

    format = None

    def getbbox(self) -> None: ...

    def save(self, where: Any, format: str) -> None:
        where.write(PNG if format == "PNG" else b"")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://example.org/cat.png", "https://example.org/cat.png"),
        (" http://example.org/cat ", "http://example.org/cat"),
        ("gs://bucket/cat.png", "gs://bucket/cat.png"),
        (url("image/png", PNG), url("image/png", PNG)),
        ("data:image/png;base64,iVBO\nRw0K", "data:image/png;base64,iVBORw0K"),
        ("data:IMAGE/PNG;BASE64,iVBORw0K", "data:image/png;base64,iVBORw0K"),
        ("data:image/svg+xml,%3Csvg%2F%3E", url("image/svg+xml", b"<svg/>")),
        (PNG, url("image/png", PNG)),
        (bytearray(JPEG), url("image/jpeg", JPEG)),
        (b"GIF89a..", url("image/gif", b"GIF89a..")),
        (b"RIFF1234WEBPVP8", url("image/webp", b"RIFF1234WEBPVP8")),
        (b"<?xml version='1.0'?>\n<svg >", url("image/svg+xml", b"<?xml version='1.0'?>\n<svg >")),
        (io.BytesIO(PNG), url("image/png", PNG)),
        (Pillow(), url("image/png", PNG)),
        (Image(PNG), url("image/png", PNG)),
        ({"url": "https://example.org/cat.png"}, "https://example.org/cat.png"),
    ],
    ids=lambda one: str(one)[:25],
)
def test_an_image_is_made_of(source: Any, expected: str) -> None:
    assert Image(source).url == expected
    assert Image(source if not isinstance(source, io.BytesIO) else PNG).format() == [
        {"type": "image_url", "image_url": {"url": expected}}
    ]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("cat.png", "from_path"),
        ("/etc/passwd", "from_path"),
        ("file:///etc/passwd", "from_path"),
        ("", "no http"),
        ("data:image/png;base64", "no data URL"),
        ("data:image/png;base64,@@@", "no base64"),
        ("data:;base64,AAAA", "does not say what it holds"),
        ("data:text/plain,hello", "text/plain, not a picture; see lms.File"),
        (PDF, "application/pdf, not a picture"),
        (b"anything", "of no known kind"),
        (b"", "empty"),
        (b"<html><svg ></svg>", "of no known kind"),
        (b"<!---->" * 200, "of no known kind"),
        (io.StringIO("text"), "mode 'rb'"),
        (3, "not a int"),
        (Path("no/such.png"), "there is no file 'no/such.png'"),
        (Path("."), "cannot be read"),
    ],
    ids=lambda one: str(one)[:25],
)
def test_what_is_no_image_says_so_in_one_line(source: Any, complaint: str) -> None:
    for make in (Image, lambda given: Image(url=given)):
        with pytest.raises(lms.SignatureError, match=complaint) as caught:
            make(source)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_string_never_reads_a_file(tmp_path: Path) -> None:
    """Text may come from a form or a model, and names a file only where the program says so."""
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)

    class Card(pydantic.BaseModel):
        picture: Image

    for given in (str(path), {"url": str(path)}, {"path": str(path)}, {"source": str(path)}):
        with pytest.raises(pydantic.ValidationError):
            Card.model_validate({"picture": given})
    assert Image.from_path(str(path)) == Image.from_file(path) == Image(path) == Image(PNG)


def test_the_kind_of_a_file_is_seen_by_its_data_first_then_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "really_a_jpeg.png").write_bytes(JPEG)
    (tmp_path / "odd.ico").write_bytes(b"\0\0\1\0")
    (tmp_path / "notes.txt").write_bytes(b"text")
    assert Image.from_path(tmp_path / "really_a_jpeg.png").url == url("image/jpeg", JPEG)
    assert Image.from_path(tmp_path / "odd.ico").url.startswith("data:image/")
    with pytest.raises(lms.SignatureError, match="text/plain, not a picture"):
        Image.from_path(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("source", "audio_format", "data"),
    [
        (MP3, "mp3", MP3),
        (b"\xff\xfb\x90", "mp3", b"\xff\xfb\x90"),
        (WAV, "wav", WAV),
        (io.BytesIO(b"fLaC"), "flac", b"fLaC"),
        (url("audio/mpeg", MP3), "mp3", MP3),
        (url("audio/x-wav", WAV), "wav", WAV),
        (url("audio/mp4", b"...."), "m4a", b"...."),
        (Audio(WAV), "wav", WAV),
        ({"data": "AAAA", "audio_format": "pcm16"}, "pcm16", b"\0\0\0"),
    ],
    ids=lambda one: str(one)[:25],
)
def test_sound_is_made_of(source: Any, audio_format: str, data: bytes) -> None:
    expected = {"data": base64.b64encode(data).decode(), "format": audio_format}
    assert Audio(source).format() == [{"type": "input_audio", "input_audio": expected}]


def test_sound_whose_format_its_bytes_do_not_show(tmp_path: Path) -> None:
    assert Audio(b"samples", audio_format="pcm16") == Audio.from_bytes(b"samples", "pcm16")
    (tmp_path / "call.mp3").write_bytes(MP3)
    assert Audio.from_path(tmp_path / "call.mp3") == Audio.from_bytes(MP3) == Audio(MP3)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("https://example.org/a.mp3", "fetch it and give the bytes"),
        ("call.mp3", "from_path"),
        (b"samples", "audio_format="),
        (PNG, "image/png, not sound"),
        (url("image/png", PNG), "image/png, not sound"),
        (b"", "empty"),
        (None, "data: Field required"),
        ({"data": "AAAA"}, "audio_format: Field required"),
        ({"data": "@@@", "audio_format": "wav"}, "no base64"),
        (3.5, "not a float"),
    ],
    ids=lambda one: str(one)[:25],
)
def test_what_is_no_sound_says_so(source: Any, complaint: str) -> None:
    with pytest.raises(lms.SignatureError, match=complaint):
        Audio(source)


def test_a_file_is_made_of(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    whole = {"file_data": url("application/pdf", PDF), "filename": "report.pdf"}
    for made in (File(path), File.from_path(str(path)), File(Upload(PDF)), File(File(path))):
        assert made.format() == [{"type": "file", "file": whole}]
    assert File.from_path(path, filename="a.pdf", mime_type="x/y").format()[0]["file"] == {
        "file_data": url("x/y", PDF),
        "filename": "a.pdf",
    }
    assert File(PDF).file_data == File.from_bytes(PDF).file_data == url("application/pdf", PDF)
    assert File(b"text").file_data == url("text/plain", b"text")
    assert File(b"\xff\x00").file_data == url("application/octet-stream", b"\xff\x00")
    assert File(url("text/csv", b"a,b")).file_data == url("text/csv", b"a,b")
    assert File.from_bytes(b"a,b", "t.csv", "text/csv") == File(url("text/csv", b"a,b"), filename="t.csv")
    assert File.from_file_id("file-1", "x.pdf").format()[0]["file"] == {"file_id": "file-1", "filename": "x.pdf"}
    assert File("https://example.org/r.pdf").format()[0]["file"] == {"file_id": "https://example.org/r.pdf"}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: File(), "data or its file_id"),
        (lambda: File(filename="x"), "data or its file_id"),
        (lambda: File("report.pdf"), "from_path"),
        (lambda: File(file_data="AAAA"), "no data URL"),
        (lambda: File(url("a/b", b""), file="x"), "file: Extra inputs"),
        (lambda: File(3), "not a int"),
        (lambda: File.from_path("/no/such/file"), "there is no file"),
    ],
)
def test_what_is_no_file_says_so(make: Any, complaint: str) -> None:
    with pytest.raises(lms.SignatureError, match=complaint):
        make()


@pytest.mark.parametrize("made", [Image(PNG * 50_000), Audio(MP3 * 50_000), File(PDF * 50_000)], ids=lambda one: "")
def test_a_repr_is_short_and_they_are_values(made: Any) -> None:
    assert len(repr(made)) < 200 and len(str(made)) < 200 and len(f"{made}") < 200
    assert type(made).__name__ in repr(made)
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made)
    assert type(made).model_validate_json(made.model_dump_json()) == made
    assert hash(made) == hash(copy.deepcopy(made))
    with pytest.raises(pydantic.ValidationError):
        made.url = made.data = made.file_data = "x"
