"""NDJSON over HTTP, read line by line."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import lmstream_sync as lms
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.ndjson import NDJSONFormat

from ...streaming.replies import chat
from .programs import listened_shop
from .served import served


def test_lines_are_the_library_s_own_events(serve: Any) -> None:
    serve(Reply(chat(reasoning="Hm.", answer="Nine\u2028\x85euros."), cut=3))
    with served(listened_shop, NDJSONFormat) as url, urllib.request.urlopen(url) as response:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        events = [json.loads(line) for line in response]
    answer = [event["chunk"] for event in events if event.get("chunk", {}).get("signature_field_name") == "answer"]
    assert "".join(chunk["chunk"] for chunk in answer) == "Nine\u2028\x85euros."
    assert events[0] == {"status": "Calling tool look_up..."}
    assert {"event": {"source": "catalogue"}} in events
    assert events[-2:] == [{"prediction": {"reasoning": "Hm.", "answer": "Nine\u2028\x85euros."}}, {"done": True}]


def test_an_error_is_masked_and_the_end_still_comes() -> None:
    with served(lambda: stream_of([lms.StreamRestart("p")], KeyError("x")), NDJSONFormat) as url:
        events = [json.loads(line) for line in urllib.request.urlopen(url)]
    error = {"type": "ProgramError", "message": "The answer could not be completed."}
    assert events[1:] == [{"error": error}, {"done": True}]


def test_a_heartbeat_is_an_empty_line() -> None:
    assert NDJSONFormat().heartbeat() == "\n"
