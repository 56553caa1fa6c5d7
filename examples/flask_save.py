"""A Flask view that saves each answer, also that of a reader who leaves in the middle.

Serves itself on a free port, reads half an answer as a browser would, and hangs up.
"""

import json
import logging
import sqlite3
import threading
import urllib.request

from flask import Flask, Response, request
from werkzeug.serving import make_server

import lmstream_sync as lms
from lmstream_sync.web.flask import stream_response
from model import model

app = Flask(__name__)
answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])
database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
database.execute("create table answers (question, outcome, answer)")
saved = threading.Event()


def save(stream: lms.Stream) -> None:
    """Runs once, inside the request's context, however the stream ends: read out, failed, cancelled or left."""
    row = (request.args["question"], stream.outcome, stream.partial["answer"])
    database.execute("insert into answers values (?, ?, ?)", row)
    saved.set()


@app.get("/ask")
def ask() -> Response:
    """With `on_leave="finish"` the model would go on to the end, and the whole answer be saved."""
    stream = answer(question=request.args["question"])
    stream.on_end(save)
    return stream_response(stream, heartbeat=5)


SCRIPT = {"answer": "It is a long story, and it begins with a small chicken. " + "The chicken walks on and on. " * 20}

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with model(SCRIPT) as lm:
        lms.configure(lm=lm)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/ask?question=Why") as response:
            seen = ""
            while "begins" not in seen and (line := response.readline()):
                if line.startswith(b"data: {"):
                    seen += json.loads(line[6:]).get("chunk", {}).get("chunk", "")
        print(seen, flush=True)
        saved.wait(10)  # the server finds out at its next write
        print("[saved]", *database.execute("select * from answers").fetchone(), sep=" | ")
        server.shutdown()
