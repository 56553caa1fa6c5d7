"""A program of your own: a synchronous `forward` with plain Python between the model calls.

It runs in a worker thread. Its fields stream all the same, and `emit` adds events of its own.
"""

import lmstream_sync as lms
from model import model


class Article(lms.Module):
    """An outline first, then a sentence for each of its points."""

    def __init__(self) -> None:
        super().__init__()
        self.outline = lms.Predict("topic -> points: list[str]")
        self.section = lms.Predict("topic, point -> sentence")

    def forward(self, topic: str) -> lms.Prediction:
        points = self.outline(topic=topic).points
        sentences = []
        for number, point in enumerate(points, start=1):
            lms.emit({"section": f"{number} of {len(points)}", "point": point})
            sentences.append(self.section(topic=topic, point=point).sentence)
        return lms.Prediction(article=" ".join(sentences))


SCRIPT = [
    {"points": '["what it is", "why it is hard"]'},
    {"sentence": "A back-pressure is a reader's way of saying: not so fast."},
    {"sentence": "It is hard because every buffer on the way would rather say yes."},
]

with model(*SCRIPT) as lm, lms.context(lm=lm):
    write = lms.streamify(
        Article(),
        # The predictor runs once for each point: `allow_reuse` streams every run, not only the first.
        stream_listeners=[lms.StreamListener("sentence", allow_reuse=True)],
    )
    for event in write("back-pressure"):
        if isinstance(event, dict):
            print(f"\n# {event['section']}: {event['point']}")
        elif isinstance(event, lms.StreamResponse):
            print(event.chunk, end="", flush=True)
        elif isinstance(event, lms.Prediction):
            print(f"\n\nThe whole article has {len(event.article.split())} words.")
