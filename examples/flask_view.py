"""A Flask view that streams server-sent events.

python examples/flask_view.py [port]
curl -N "http://127.0.0.1:5000/ask?question=Why"
"""

import sys

from flask import Flask, Response, request

import lmstream_sync as lms
from lmstream_sync.web.flask import register_errors, stream_response
from model import model

app = Flask(__name__)
register_errors(app)  # a wrong input is a 422, a program with no room a 429, in JSON
answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])


@app.get("/ask")
def ask() -> Response:
    """The answer, piece by piece; a wrong key is a 401. When the browser goes away, the model is stopped."""
    return stream_response(answer(question=request.args["question"]))


if __name__ == "__main__":
    with model({"answer": "To get to the other side of the counter."}) as lm:
        lms.configure(lm=lm)
        app.run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 5000, threaded=True)
