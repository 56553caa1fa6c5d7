"""The cache: the same request again is answered at once, with no chunks, and costs nothing."""

import time

import lmstream_sync as lms
from model import model

with model({"answer": "Forty-two."}, {"answer": "Still forty-two."}, cache=True) as lm, lms.context(lm=lm):
    answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])

    def ask(question: str, **config: object) -> None:
        """Ask once, and say what came and how long it took."""
        began = time.perf_counter()
        events = list(answer(question=question, config=config))
        took = time.perf_counter() - began
        chunks = sum(isinstance(event, lms.StreamResponse) for event in events)
        print(f"{chunks:3} chunks, {took * 1000:7.1f} ms: {events[-1].answer}")

    ask("What is six times seven?")
    ask("What is six times seven?")
    ask("What is six times seven?", rollout_id=1)  # part of the cache key, never sent: asks anew
