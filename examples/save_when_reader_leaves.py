"""A reader who leaves in the middle: the work stops, and what they had seen is saved."""

import lmstream_sync as lms
from model import model

saved: dict[str, str] = {}


def save(stream: lms.Stream) -> None:
    """Runs once, however the stream ends: read out, failed, cancelled or left."""
    saved[stream.id] = stream.partial["answer"]
    print(f"\n[saved, {stream.outcome}] {stream.partial['answer']!r}")


answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])

SCRIPT = {"answer": "It is a long story, and it begins with a very small chicken in a very large barn."}

with model(SCRIPT) as lm, lms.context(lm=lm), answer(question="Tell me a story.") as stream:
    stream.on_end(save)
    for piece in stream.text():
        print(piece, end="", flush=True)
        if "begins" in stream.partial["answer"]:
            break  # leaving the `with` block closes the stream, and the provider's connection with it
