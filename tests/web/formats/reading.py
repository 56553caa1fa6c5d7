"""Writing events in a format, and reading what came out as its readers do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from lmstream_sync.streaming.encoded import Encoded
from lmstream_sync.streaming.format import Format
from lmstream_sync.testing import stream_of


def written(
    format: Format, events: Iterable[Any], error: BaseException | None = None, *, expose_errors: bool = False
) -> str:
    """The whole response of a real stream of these events."""
    return "".join(Encoded(stream_of(list(events), error), format, None, expose_errors))


@dataclass(frozen=True)
class ServerSent:
    """One event as a browser dispatches it."""

    data: str
    name: str = "message"
    id: str = ""


def server_sent(body: str) -> list[ServerSent]:
    """The events of a body, by the letter of the HTML standard ("Interpreting an event stream")."""
    body.encode()  # what cannot be sent is no event
    events = []
    data: list[str] = []
    name = last_id = ""
    for line in re.split(r"\r\n|\r|\n", body)[:-1]:
        if line == "":
            if data:
                events.append(ServerSent("\n".join(data), name or "message", last_id))
            data, name = [], ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id" and "\0" not in value:
                last_id = value
    return events


def parts(body: str) -> list[dict[str, Any]]:
    """The JSON of each nameless event; `[DONE]` must be the last, where it is there."""
    events = server_sent(body)
    assert all(event.name == "message" for event in events)
    if any(event.data == "[DONE]" for event in events):
        assert events.pop().data == "[DONE]"
    return [json.loads(event.data) for event in events]


class _Shown(HTMLParser):
    """The text that HTML shows; any tag but `<br>` is a fault."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert (tag, attrs) == ("br", [])
        self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        raise AssertionError(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"<!--{data}-->")

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(html: str) -> str:
    """The text that HTML shows, with `<br>` as `"\\n"`."""
    parser = _Shown()
    parser.feed(html)
    parser.close()
    return parser.text


# What a reader of each format has in the end: field → its text.


def openai_texts(body: str) -> dict[str, str]:
    """`content` and `reasoning`."""
    texts = {"content": "", "reasoning": ""}
    for chunk in parts(body):
        for choice in chunk.get("choices", ()):
            texts["content"] += choice["delta"].get("content") or ""
            texts["reasoning"] += choice["delta"].get("reasoning_content") or ""
    return texts


def ai_sdk_texts(body: str) -> dict[str, str]:
    """Of each field the part begun last, as a page has it that heeds restarts."""
    texts: dict[str, str] = {}
    field_of: dict[str, str] = {}
    for part in parts(body):
        if part["type"] in ("text-start", "reasoning-start"):
            field = part["providerMetadata"]["lmstream_sync"]["field"]
            assert part["id"] not in field_of
            field_of[part["id"]] = field
            texts[field] = ""
        elif part["type"] in ("text-delta", "reasoning-delta"):
            texts[field_of[part["id"]]] += part["delta"]
        elif part["type"] in ("text-end", "reasoning-end"):
            field_of[part["id"]] = ""
        elif part["type"] == "data-restart":
            _forget(texts, part["data"]["signature_field_name"])
    assert not any(field_of.values()), "a part did not end"
    return texts


def ag_ui_texts(body: str) -> dict[str, str]:
    """The same of messages."""
    texts: dict[str, str] = {}
    open_fields: dict[str, str] = {}
    for event in parts(body):
        if event["type"] in ("TEXT_MESSAGE_START", "REASONING_MESSAGE_START"):
            field = event["metadata"]["field"]
            open_fields[event["messageId"]] = field
            texts[field] = ""
        elif event["type"].endswith("_MESSAGE_CONTENT"):
            texts[open_fields[event["messageId"]]] += event["delta"]
        elif event["type"].endswith("_MESSAGE_END"):
            del open_fields[event["messageId"]]
        elif event["type"] == "CUSTOM" and event["name"] == "restart":
            _forget(texts, event["value"]["signature_field_name"])
    assert not open_fields, "a message did not end"
    return texts


def htmx_texts(body: str) -> dict[str, str]:
    """What the elements named for fields show."""
    texts: dict[str, str] = {}
    for event in server_sent(body):
        if event.name.endswith("-restart"):
            assert event.data == ""
            texts[event.name.removesuffix("-restart")] = ""
        elif event.name not in ("done", "failed", "status", "event"):
            texts[event.name] = texts.get(event.name, "") + shown(event.data)
    return texts


def ndjson_texts(body: str) -> dict[str, str]:
    """The chunks of each field, joined since its last restart."""
    texts: dict[str, str] = {}
    for line in body.splitlines():  # which cuts at U+2028 too
        event = json.loads(line)
        if "chunk" in event:
            chunk = event["chunk"]
            texts[chunk["signature_field_name"]] = texts.get(chunk["signature_field_name"], "") + chunk["chunk"]
        elif "restart" in event:
            _forget(texts, event["restart"]["signature_field_name"])
    return texts


def _forget(texts: dict[str, str], field: str | None) -> None:
    for each in [field] if field is not None else list(texts):
        texts.pop(each, None)


def same(text: str) -> str:
    """A text as JavaScript compares it: two halves of a pair are the character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def in_html(text: str) -> str:
    """A text as HTML can hold it."""
    return re.sub("\r\n|\r", "\n", re.sub("[\0\ud800-\udfff]", "\ufffd", text))
