"""Typed output while it is written: the items of a list one by one, each as soon as it is complete."""

from typing import Literal

from pydantic import BaseModel

import lmstream_sync as lms
from model import model


class Step(BaseModel):
    """One step of a recipe."""

    action: str
    minutes: int
    heat: Literal["off", "low", "high"] = "off"


class Recipe(lms.Signature):
    """Write a recipe in steps."""

    dish: str = lms.InputField()
    steps: list[Step] = lms.OutputField()


SCRIPT = (
    '{"steps": [{"action": "Chop an onion", "minutes": 4}, '
    '{"action": "Fry it in butter until golden", "minutes": 12, "heat": "high"}, '
    '{"action": "Add water and let it simmer", "minutes": 40, "heat": "low"}]}'
)

with model(SCRIPT) as lm, lms.context(lm=lm, adapter=lms.JSONAdapter()):
    write = lms.streamify(
        lms.Predict(Recipe),
        stream_listeners=[lms.StreamListener("steps", granularity="item")],
    )
    total = 0
    for event in write(dish="onion soup"):
        if isinstance(event, lms.StreamResponse) and event.chunk is not None:
            total += event.chunk.minutes
            print(f"after {total:>2} min: {event.chunk.action} (heat {event.chunk.heat})", flush=True)
        elif isinstance(event, lms.Prediction):
            print(f"{len(event.steps)} steps")
