"""A chat by Streamlit: `st.write_stream` takes the strings of `Stream.text` as they come.

streamlit run examples/streamlit_app.py
"""

import contextlib

import streamlit as st

import lmstream_sync as lms
from model import model

chat = lms.streamify(
    lms.Predict("history: lms.History, question -> answer"),
    stream_listeners=[lms.StreamListener("answer")],
)


def opened() -> tuple[lms.LM, contextlib.ExitStack]:
    """The model; the stack keeps it open."""
    stack = contextlib.ExitStack()
    return stack.enter_context(model({"answer": "To get to the other side of the counter, where the corn is."})), stack


lm, _ = st.cache_resource(opened)()  # once, for all sessions
st.title("The kitchen")
turns = st.session_state.setdefault("turns", [])
for turn in turns:
    st.chat_message(turn["role"]).write(turn["content"])

if question := st.chat_input("Ask anything"):
    st.chat_message("user").write(question)
    with lms.context(lm=lm), chat(history=lms.History(messages=turns), question=question) as stream:
        # A rerun (another question, a closed tab) ends the block, and with it the model's work.
        answer = st.chat_message("assistant").write_stream(stream.text())
    turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
