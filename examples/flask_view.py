"""A Flask view that streams server-sent events.

python examples/flask_view.py [port]
curl -N "http://127.0.0.1:5000/ask?question=Why"
"""

import sys

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

import lmstream_sync as lms
from model import model

app = Flask(__name__)
answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


@app.get("/ask")
def ask() -> ResponseReturnValue:
    """The answer, piece by piece. When the browser goes away, the model is stopped."""
    stream = answer(question=request.args["question"])
    try:
        stream.peek("output", timeout=10)  # while no byte has gone out, a failure can still be a status
    except lms.StreamTimeout:
        pass  # slow, not broken: the stream goes on
    except lms.LMError as error:
        return jsonify(error=str(error)), error.status_code or 502
    return Response(lms.streaming_response(stream), mimetype="text/event-stream")


if __name__ == "__main__":
    with model({"answer": "To get to the other side of the counter."}) as lm:
        lms.configure(lm=lm)
        app.run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 5000, threaded=True)
