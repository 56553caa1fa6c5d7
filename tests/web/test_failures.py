"""Which status each error is answered with, and what its JSON tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync import errors
from lmstream_sync.streaming.event_json import MASKED
from lmstream_sync.web.failures import RequestError, failure_of

STATUSES: dict[type[BaseException], int] = {
    errors.LMStreamError: 500,
    errors.ConfigurationError: 500,
    errors.SignatureError: 422,
    errors.ListenerError: 500,
    errors.LMError: 502,
    errors.AuthenticationError: 401,
    errors.BadRequestError: 502,
    errors.ContextWindowExceededError: 400,
    errors.RateLimitError: 429,
    errors.ServerError: 502,
    errors.LMConnectionError: 502,
    errors.LMProtocolError: 502,
    errors.LMInterrupted: 502,
    errors.AdapterParseError: 502,
    errors.ToolError: 500,
    errors.StreamError: 500,
    errors.StreamClosed: 500,
    errors.StreamCancelled: 500,
    errors.StreamRestarted: 500,
    errors.StreamTimeout: 504,
    errors.StreamForked: 500,
    errors.LoopDied: 500,
    errors.Busy: 429,
    RuntimeError: 500,
    KeyError: 500,
    TimeoutError: 500,
}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_the_status_of_each_error(kind: type[BaseException], status: int) -> None:
    failure = failure_of(kind("where the key sk-abc was"))
    assert failure.status == status
    name = kind.__name__ if issubclass(kind, errors.LMStreamError) else "ProgramError"
    told = "where the key sk-abc was" if kind is errors.SignatureError else MASKED
    assert json.loads(failure.body) == {"error": {"type": name, "message": told}}


def test_every_error_of_the_library_has_its_place() -> None:
    known = {getattr(errors, name) for name in errors.__all__} - {errors.Stopped}
    assert known <= STATUSES.keys()


@pytest.mark.parametrize(
    ("seconds", "said"), [(7, "7"), (0.2, "1"), (0, "0"), (-3, "0"), (None, None), (float("inf"), None), ("7", None)]
)
@pytest.mark.parametrize("kind", [lms.RateLimitError, lms.Busy])
def test_retry_after_in_whole_seconds(kind: Any, seconds: Any, said: str | None) -> None:
    assert failure_of(kind("busy", retry_after=seconds)).headers.get("Retry-After") == said


def test_a_provider_that_is_down_may_say_when_to_come_again_too() -> None:
    assert failure_of(lms.ServerError("down", retry_after=7)).headers == {"Retry-After": "7"}
    assert failure_of(lms.ServerError("down")).headers == {}


def test_what_the_client_sent_wrongly_is_told() -> None:
    failure = failure_of(RequestError(405, "send GET", headers={"Allow": "GET"}))
    assert (failure.status, failure.headers, failure.of_request) == (405, {"Allow": "GET"}, True)
    assert failure.error == {"type": "RequestError", "message": "send GET"}
    assert failure_of(RequestError(422, "no", field="n")).error["field"] == "n"


def test_inputs_that_do_not_fit_are_the_clients_fault_only_at_the_call() -> None:
    error = lms.SignatureError("inputs do not fit 'question -> answer': missing: question")
    assert failure_of(error).of_request
    running = failure_of(error, running=True)
    assert (running.status, running.error["message"], running.of_request) == (500, MASKED, False)


def test_an_error_is_exposed_where_that_is_asked_for() -> None:
    failure = failure_of(KeyError("kettle"), expose=True)
    assert failure.error == {"type": "KeyError", "message": "'kettle'"}


def test_a_message_that_no_header_and_no_utf8_can_hold() -> None:
    failure = failure_of(RequestError(422, "a\r\nSet-Cookie: b \ud83d", field="\r\n\ud83d"))
    assert b"\r" not in failure.body and b"\n" not in failure.body
    failure.body.decode()
    assert json.loads(failure.body)["error"]["field"] == "\r\n\ud83d"
