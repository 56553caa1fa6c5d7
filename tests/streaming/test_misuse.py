"""What is said at the call, and what is said in the log, when something is wrong with a streamed program."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import lmstream_sync as lms


def test_a_program_is_streamified_once(serve: Any) -> None:
    serve("x")
    program = lms.streamify(lms.Predict("q -> answer"))
    for again in (lms.streamify, lambda given: lms.run_many(given, [{"q": "?"}])):
        with pytest.raises(lms.ConfigurationError, match="streamified already"):
            again(program)


def test_an_adapter_that_is_none_is_said_at_the_call(serve: Any) -> None:
    serve("x")
    for adapter in (lms.JSONAdapter, "json"):
        with lms.context(adapter=adapter), pytest.raises(lms.ConfigurationError, match="give an adapter object"):
            lms.stream(lms.Predict("q -> answer"), q="?")


def test_a_class_is_no_provider_of_status_messages() -> None:
    with pytest.raises(lms.ConfigurationError, match="status_message_provider"):
        lms.streamify(lms.Predict("q -> answer"), status_message_provider=lms.StatusMessageProvider)  # type: ignore


def test_what_the_browser_is_not_told_stands_in_the_log(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(q: str) -> Any:
        yield q
        raise KeyError("mine, with sk-aVerySecretKey0123456789")

    with caplog.at_level(logging.ERROR, logger="lmstream_sync.streaming"):
        body = "".join(lms.streaming_response(lms.stream(breaks, "x")))
    assert "mine" not in body
    (record,) = caplog.records
    said = record.getMessage()
    assert "KeyError" in said and "in breaks" in said
    assert "VerySecret" not in said
