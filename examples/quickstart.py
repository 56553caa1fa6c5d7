"""A program's answer appears, piece by piece, in a plain `for` loop."""

import lmstream_sync as lms
from model import model

SCRIPT = {
    "reasoning": "Kitchens have two sides, and a chicken is curious about the one it is not on.",
    "answer": "To get to the other side of the counter, where the corn is kept.",
}

with model(SCRIPT) as lm:
    lms.configure(lm=lm)
    answer = lms.streamify(
        lms.ChainOfThought("question -> answer"),
        stream_listeners=[lms.StreamListener("answer")],
    )

    for event in answer(question="Why did a chicken cross the kitchen?"):
        if isinstance(event, lms.StreamResponse):
            print(event.chunk, end="", flush=True)
        elif isinstance(event, lms.Prediction):
            print(f"\n\nThe reasoning behind it: {event.reasoning}")
