"""The same over ASGI: Starlette, with an `AsyncStream` and `streaming_response`; FastAPI's views are alike."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import lmstream_sync as lms
from tests.web.servers.census import census

lms.configure(lm=lms.LM("openai/scripted", api_base=os.environ["LMSTREAM_TEST_MODEL"], api_key="sk-test", cache=False))
program = lms.streamify(
    lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
)


async def stream(request: Request) -> StreamingResponse:
    """The answer as server-sent events, and which process gives it."""
    events = program(question=request.query_params["question"])
    heartbeat = float(request.query_params.get("heartbeat", 0.1))
    return StreamingResponse(
        lms.streaming_response(events, heartbeat=heartbeat),
        media_type="text/event-stream",
        headers={"X-Worker": str(os.getpid()), "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


async def tell(request: Request) -> JSONResponse:
    """What lives in the worker."""
    return JSONResponse(census())


app = Starlette(routes=[Route("/stream", stream), Route("/census", tell)])
