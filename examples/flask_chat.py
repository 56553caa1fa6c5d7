"""A chat in the browser, served by Flask: the page of the package, and a view that streams to it.

python examples/flask_chat.py [port]
"""

import sys

from flask import Flask, Response, request

import lmstream_sync as lms
from lmstream_sync.web.flask import register_errors, stream_response
from lmstream_sync.web.page import chat_page, policy_for
from model import model

app = Flask(__name__)
register_errors(app)
chat = lms.streamify(
    lms.ChainOfThought("history: lms.History, question -> answer"),
    stream_listeners=[lms.StreamListener("reasoning"), lms.StreamListener("answer")],
)
PAGE = chat_page(
    title="The kitchen",
    endpoint="/ask",
    history="history",
    greeting="What shall we cook?",
    examples=["Why did a chicken cross the kitchen?", "What goes with leeks?"],
)


@app.get("/")
def page() -> Response:
    """The page, which may load nothing but what is in it."""
    return Response(PAGE, headers={"Content-Security-Policy": policy_for(PAGE)})


@app.post("/ask")
def ask() -> Response:
    """The answer, piece by piece; a reader who leaves stops the model, and what was written is kept."""
    asked = request.get_json()
    question = str(asked["question"])
    stream = chat(question=question, history=lms.History.model_validate(asked["history"]).last(10))
    stream.on_end(lambda ended: save(question, ended))
    return stream_response(stream)


def save(question: str, stream: lms.Stream) -> None:
    """Runs once, in the request's context, however the stream ended: here would be your database."""
    print(f"[saved, {stream.outcome}] {question!r}: {stream.partial.get('answer', '')!r}", flush=True)


SCRIPT = {
    "reasoning": "Kitchens have two sides, and a chicken is curious about the one it is not on.",
    "answer": "To get to the **other side of the counter**, where the corn is kept.",
}

if __name__ == "__main__":
    with model(SCRIPT) as lm:
        lms.configure(lm=lm)
        app.run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 5000, threaded=True)
