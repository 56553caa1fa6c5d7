"""Two predictors, and a listener for a field of each: `predict_name` says where a chunk comes from."""

import lmstream_sync as lms
from model import model


class Review(lms.Module):
    """Writes a draft, then a criticism of it."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = lms.Predict("topic -> text")
        self.critic = lms.ChainOfThought("text -> verdict")

    async def aforward(self, topic: str) -> lms.Prediction:
        draft = await self.draft.acall(topic=topic)
        review = await self.critic.acall(text=draft.text)
        return lms.Prediction(text=draft.text, verdict=review.verdict, reasoning=review.reasoning)


SCRIPT = [
    {"text": "Tea is hot leaf water, and the best hour of the day."},
    {"reasoning": "The first half is true and dull. The second half saves it.", "verdict": "Keep the second half."},
]

with model(*SCRIPT) as lm, lms.context(lm=lm):
    review = lms.streamify(
        Review(),
        stream_listeners=[
            lms.StreamListener("text"),
            # Where two predictors had this field, `predict_name` would be needed; it never harms.
            lms.StreamListener("verdict", predict_name="critic.predict"),
        ],
        include_final_prediction_in_output_stream=False,
    )
    with review("tea") as stream:
        for event in stream:
            if isinstance(event, lms.StreamResponse):
                if event.chunk:
                    print(f"{event.predict_name:>14} | {event.signature_field_name:>7} | {event.chunk!r}")
                if event.is_last_chunk:
                    print("-" * 40)
        print(stream.partial)
        print("The prediction was withheld from the loop, not lost:", stream.result().reasoning)
