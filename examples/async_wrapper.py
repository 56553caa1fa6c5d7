"""In asynchronous code: `async_streaming=True`. The streams run on the library's own loop, not on yours."""

import asyncio

import lmstream_sync as lms
from model import model

ask = lms.streamify(
    lms.Predict("question -> answer"),
    stream_listeners=[lms.StreamListener("answer")],
    async_streaming=True,
)


async def read(name: str, question: str) -> str:
    """Read one stream to its end."""
    answer = ""
    async for event in ask(question=question):
        if isinstance(event, lms.Prediction):
            answer = event.answer
        elif event.chunk:
            print(f"{name}: {event.chunk!r}")
    return answer


async def main() -> None:
    """Two streams at once, in one thread."""
    answers = await asyncio.gather(read("first", "Why?"), read("second", "Why not?"))
    print("\n".join(f"=> {answer}" for answer in answers))


SCRIPT = [{"answer": "Because it can be done."}, {"answer": "Because somebody has to begin."}]

with model(*SCRIPT) as lm, lms.context(lm=lm):
    asyncio.run(main())
