"""A chat by Gradio: `Stream.snapshots` gives the text so far, which is what its chat wants.

python examples/gradio_app.py
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr

import lmstream_sync as lms
from model import model

chat = lms.streamify(
    lms.Predict("history: lms.History, question -> answer"),
    stream_listeners=[lms.StreamListener("answer")],
)


def reply(question: str, turns: list[dict[str, Any]]) -> Iterator[str]:
    """The answer so far, again and again. Its stop button closes the generator, and so the stream."""
    before = [{"role": turn["role"], "content": text_of(turn["content"])} for turn in turns]
    with chat(history=lms.History(messages=before), question=question) as stream:
        yield from stream.snapshots()


def text_of(content: Any) -> str:
    """A turn's text: Gradio gives it as it is, or as a list of parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


if __name__ == "__main__":
    with model({"answer": "To get to the other side of the counter, where the corn is kept."}) as lm:
        lms.configure(lm=lm)
        gr.ChatInterface(reply, title="The kitchen").launch()
