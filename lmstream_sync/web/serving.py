"""A program that answers requests: the part of such a door that is the same in every framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.streaming.running import program_of, runner_of
from lmstream_sync.streaming.stream import AsyncStream, Stream
from lmstream_sync.streaming.streamify import stream
from lmstream_sync.web.formats.choosing import chosen_format
from lmstream_sync.web.inputs import MAX_BYTES, METHODS, fit_inputs, refuse_method
from lmstream_sync.web.program_inputs import inputs_of
from lmstream_sync.web.response import (
    Answer,
    Asked,
    Options,
    answer_failure,
    answer_without_stream,
    open_response,
)

__all__ = ["ProgramRequest", "ServedProgram"]

#: What a program is offered in where nothing is said: `Accept` picks.
FORMATS = ("sse", "ndjson", "text")


@dataclass(frozen=True)
class ProgramRequest:
    """A request for a program.

    Attributes:
        asked: what matters of it for the response.
        content_type: the header of that name, or `None`.
        query: the query string, without `?`, as WSGI has it.
        read_body: reads the body, of a POST only; gets the number of bytes that it may have, and
            raises `RequestError` for more.
    """

    asked: Asked
    content_type: str | None
    query: str
    read_body: Callable[[int], bytes]


class ServedProgram:
    """A program behind a URL.

    Args:
        program: a `Module` or another callable, of which every output field of every predictor is
            streamed (`lms.stream`), or what `streamify` made of one, which says itself.
        options: how its streams are answered.
        max_bytes: of a request's body.
        on_end: given to `Stream.on_end` of each stream.

    Raises:
        ConfigurationError: it is no program, does not say what it takes, or the format is unknown.
    """

    def __init__(
        self,
        program: Any,
        options: Options,
        *,
        max_bytes: int = MAX_BYTES,
        on_end: Callable[[Stream], object] | None = None,
    ) -> None:
        if not isinstance(max_bytes, int) or isinstance(max_bytes, bool) or max_bytes < 1:
            raise ConfigurationError(f"max_bytes={max_bytes!r}: give a positive number of bytes")
        if on_end is not None and not callable(on_end):
            raise ConfigurationError(f"on_end={on_end!r}: give a function of the stream")
        chosen_format(options.format)
        if program_of(program) is None:
            runner_of(program)
            self._call: Callable[..., Any] = partial(stream, program)
        else:
            self._call = program
        self._program = program
        self._takes = inputs_of(program)
        self._options = options
        self._max_bytes = max_bytes
        self._on_end = on_end

    def answer(
        self, request: ProgramRequest, through: Callable[[Stream], object] | None = None
    ) -> tuple[Answer, Stream | None]:
        """What to answer, and the stream that is to be sent with it, if any.

        Args:
            request: the request.
            through: is given the stream before anything of it is read.
        """
        asked = request.asked
        try:
            refuse_method(asked.method)
            if asked.method == "OPTIONS":
                return Answer(204, {"Allow": ", ".join(METHODS)}), None
            at_once = answer_without_stream(asked, self._options)
            if at_once is not None:
                return at_once, None
            opened = self._opened(request)
        except Exception as error:
            return answer_failure(error, self._program, expose=self._options.expose_errors), None
        if through is not None:
            through(opened)
        if self._on_end is not None:
            opened.on_end(self._on_end)
        answer = open_response(opened, asked, self._options)
        return answer, opened if answer.format is not None else None

    def _opened(self, request: ProgramRequest) -> Stream:
        posted = request.asked.method == "POST"
        inputs = fit_inputs(
            self._takes,
            method=request.asked.method,
            content_type=request.content_type,
            body=request.read_body(self._max_bytes) if posted else b"",
            query=request.query,
            max_bytes=self._max_bytes,
        )
        opened: Stream | AsyncStream = self._call(**inputs)
        return opened.stream if isinstance(opened, AsyncStream) else opened
