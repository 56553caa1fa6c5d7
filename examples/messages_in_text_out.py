"""No signature, no markers in the prompt: messages go in, text comes out as it arrives."""

import lmstream_sync as lms
from model import model

MESSAGES = [
    {"role": "system", "content": "You are a poet of few words."},
    {"role": "user", "content": "Write a haiku about waiting."},
]

with model("The kettle is slow.\nOutside, a leaf considers\nwhether to let go.") as lm:
    stream = lms.stream(lm, messages=MESSAGES)
    for piece in stream.text():
        print(piece, end="", flush=True)
    print(f"\n\n{len(stream.result().text)} characters; tokens: {stream.usage}")
