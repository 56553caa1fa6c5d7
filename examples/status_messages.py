"""Status messages: what the program does meanwhile, in the words of your own provider."""

from typing import Any

import lmstream_sync as lms
from model import model


def population(city: str) -> int:
    """How many people live in a city."""
    return {"Bern": 134_000, "Wien": 2_005_000}.get(city, 0)


class CityGuide(lms.Module):
    """Finds out which city is meant, looks it up, and writes a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.find = lms.Predict("question -> city")
        self.look_up = lms.Tool(population)
        self.write = lms.Predict("question, population: int -> answer")

    def forward(self, question: str) -> lms.Prediction:
        city = self.find(question=question).city
        people = self.look_up(city=city)
        return lms.Prediction(answer=self.write(question=question, population=people).answer)


class Progress(lms.streaming.StatusMessageProvider):
    """Overrides what it has better words for; `None` sends nothing."""

    def tool_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        return f"Looking up {inputs['city']} ..."

    def tool_end_status_message(self, outputs: Any) -> str:
        return f"Found {outputs:,}."

    def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        return "Thinking ..." if isinstance(instance, CityGuide) else None


with model({"city": "Bern"}, {"answer": "About 134,000 people live in Bern."}) as lm, lms.context(lm=lm):
    guide = lms.streamify(
        CityGuide(),
        status_message_provider=Progress(),
        stream_listeners=[lms.StreamListener("answer")],
    )
    for event in guide(question="How many people live in the capital of Switzerland?"):
        if isinstance(event, lms.StatusMessage):
            print(f"[{event.message}]")
        elif isinstance(event, lms.StreamResponse):
            print(event.chunk, end="\n" if event.is_last_chunk else "", flush=True)
