"""A chat over several turns: `History` keeps them, and goes to and from JSON between two requests."""

import lmstream_sync as lms
from model import model


class Chat(lms.Signature):
    """Answer in one sentence."""

    history: lms.History = lms.InputField()
    question: str = lms.InputField()
    answer: str = lms.OutputField()


QUESTIONS = ["Who wrote The Trial?", "Where was he born?", "And what did he ask of his friend?"]
SCRIPT = [
    {"answer": "Franz Kafka wrote it."},
    {"answer": "He was born in Prague."},
    {"answer": "He asked Max Brod to burn what he had written."},
]

with model(*SCRIPT) as lm, lms.context(lm=lm):
    reply = lms.streamify(lms.Predict(Chat), stream_listeners=[lms.StreamListener("answer")])
    kept = lms.History().model_dump_json()  # in a web app: in the session
    for question in QUESTIONS:
        history = lms.History.model_validate_json(kept)
        print(f"> {question}")
        with reply(history=history.last(10), question=question) as stream:
            for piece in stream.text():
                print(piece, end="", flush=True)
            print()
            kept = history.add(question=question, answer=stream.result().answer).model_dump_json()
