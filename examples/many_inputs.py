"""Many at once: one program over many inputs, and two streams read as one."""

import lmstream_sync as lms
from model import model

CAPITALS = {"Switzerland": "Bern", "Austria": "Wien", "Norway": "Oslo", "Italy": "Rome", "Latvia": "Riga"}
TEXTS = {"sentence": "Tea is hot leaf water.", "paragraph": "Tea is hot leaf water, and the best hour of the day."}
SCRIPT = {word: {"answer": answer} for word, answer in {**CAPITALS, **TEXTS}.items()}

with model(to=SCRIPT) as lm, lms.context(lm=lm):
    # Results as they finish; inputs are taken as there is room, so there may be any number of them.
    capital = lms.Predict("country -> answer")
    for number, made in lms.run_many(capital, ({"country": name} for name in CAPITALS), concurrency=3):
        print(f"{number}: {made.answer}")

    write = lms.streamify(lms.Predict("task -> answer"), stream_listeners=[lms.StreamListener("answer")])
    both = lms.merge(short=write(task="a sentence on tea"), long=write(task="a paragraph on tea"))
    for name, event in both:
        if isinstance(event, lms.StreamResponse):
            print(f"{name}: {event.chunk}")
