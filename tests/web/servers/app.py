"""The Flask app that the WSGI servers of these tests serve: one program, streamed.

From the environment: `LMSTREAM_TEST_MODEL`, the address of the scripted model;
`LMSTREAM_TEST_IN_MASTER`: read one stream whole and open another while the module is
imported, which under `--preload` is in the master, before the fork; `LMSTREAM_TEST_SAVED`:
the file that `on_leave=finish` saves to.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

from flask import Flask, Response, request

import lmstream_sync as lms
from lmstream_sync.runtime import detached
from lmstream_sync.web.flask import stream_response
from tests.web.servers.census import census

lms.configure(lm=lms.LM("openai/scripted", api_base=os.environ["LMSTREAM_TEST_MODEL"], api_key="sk-test", cache=False))
program = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])

#: What the master did before the fork; the open stream is kept so that it stands open in the children too.
in_master: list[Any] = []
if os.environ.get("LMSTREAM_TEST_IN_MASTER"):
    in_master.append(program(question="whole").result().answer)
    opened = program(question="open")
    next(opened)
    in_master.append(opened)

# Registered after the library, so said before it waits for what nobody reads any more.
atexit.register(print, "the worker exits", flush=True)

app = Flask(__name__)


def save(stream: lms.Stream) -> None:
    """Keep what was answered, and how the stream ended."""
    with open(os.environ["LMSTREAM_TEST_SAVED"], "a", encoding="utf-8") as file:
        file.write(f"{stream.outcome}: {stream.partial['answer']}\n")


@app.get("/stream")
def stream() -> Response:
    """The answer as server-sent events, and which process gives it."""
    events = program(question=request.args["question"])
    on_leave = "finish" if "finish" in request.args else "stop"
    if on_leave == "finish":
        events.on_end(save)
    response = stream_response(
        events,
        heartbeat=float(request.args.get("heartbeat", 0.1)),
        wait_first=float(request.args.get("wait_first", 10)),
        on_leave=on_leave,
        headers={"X-Worker": str(os.getpid())},
    )
    if "bare" in request.args:  # as a view that does not know of nginx
        del response.headers["X-Accel-Buffering"]
    return response


@app.get("/census")
def tell() -> Response:
    """What lives in the worker, and what it can do with the streams of the master."""
    if not in_master:
        return app.json.response(census(unattended=len(detached._running)))
    try:
        refused = next(in_master[1])
    except lms.StreamError as error:
        refused = type(error).__name__
    return app.json.response(census(whole_in_master=in_master[0], open_in_worker=refused))
