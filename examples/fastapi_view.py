"""A FastAPI view that streams server-sent events: no door is needed, `async_streaming=True` is enough.

python examples/fastapi_view.py [port]
curl -N "http://127.0.0.1:8000/ask?question=Why"
"""

import sys

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

import lmstream_sync as lms
from model import model

app = FastAPI()
answer = lms.streamify(
    lms.Predict("question -> answer"),
    stream_listeners=[lms.StreamListener("answer")],
    async_streaming=True,
)


@app.get("/ask")
async def ask(question: str) -> Response:
    """The answer, piece by piece. When the browser goes away, the model is stopped."""
    stream = answer(question=question)
    try:
        await stream.peek("output", timeout=10)  # while no byte has gone out, a failure can still be a status
    except lms.StreamTimeout as error:
        if error.which != "peek":
            return JSONResponse({"error": "the model takes too long"}, 504)
    except lms.LMError as error:
        return JSONResponse({"error": type(error).__name__}, error.status_code or 502)
    return StreamingResponse(
        lms.streaming_response(stream),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


if __name__ == "__main__":
    with model({"answer": "To get to the other side of the counter."}) as lm:
        lms.configure(lm=lm)
        uvicorn.run(app, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
