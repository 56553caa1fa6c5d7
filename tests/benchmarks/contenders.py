"""The contenders: for each one function that says how its users read a stream of a model.

Such a function is given the URL of the model and gives back what starts one call: a function
without arguments that gives the iterator, or asynchronous iterator, of what comes. Whatever
is made once by a user (a client, a session, a program) is made in the outer function, which for
asynchronous contenders runs inside their loop. The imports stand inside: they are measured.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

MODEL = "gpt-4o-mini"
QUESTION = "Why did a chicken cross the kitchen?"
KEY = "sk-test"
REQUEST: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "stream": True}

#: Starts one call and gives what is read.
Start = Callable[[], Any]


class Contender(NamedTuple):
    """One way to read a stream.

    Attributes:
        label: how reports call it.
        open: see above.
        text: the text in one of the things it yields; "" where it holds none.
        imports: what its users import.
        asynchronous: it is read with `async for`, all streams on one loop.
    """

    label: str
    open: Callable[[str], Start]
    text: Callable[[Any], str]
    imports: str
    asynchronous: bool = False


# Raw HTTP.


def event_of(line: bytes | str) -> Any:
    """The JSON of one line of a stream; `None` for empty lines and the end."""
    data = line[6:].rstrip()
    return json.loads(data) if data and data not in (b"[DONE]", "[DONE]") else None


def aiohttp_session() -> Any:
    """A session without its default limit of 100 connections, which is not what is measured."""
    import aiohttp

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def aiohttp_raw(url: str) -> Start:
    """The floor: what a read of the socket brought, cut at empty lines, decoded with `json.loads`."""
    session = aiohttp_session()

    async def read() -> AsyncIterator[Any]:
        rest = b""
        async with session.post(f"{url}/chat/completions", json=REQUEST) as response:
            async for data in response.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                for event in events:
                    if event != b"data: [DONE]":
                        yield json.loads(event[6:])

    return read


def aiohttp_lines(url: str) -> Start:
    """The same as one writes it first: line by line."""
    session = aiohttp_session()

    async def read() -> AsyncIterator[Any]:
        async with session.post(f"{url}/chat/completions", json=REQUEST) as response:
            async for line in response.content:
                if (found := event_of(line)) is not None:
                    yield found

    return read


def httpx_sync(url: str) -> Start:
    """Line by line, synchronous."""
    import httpx

    client = httpx.Client(limits=httpx.Limits(max_connections=None), timeout=60)

    def read() -> Iterator[Any]:
        with client.stream("POST", f"{url}/chat/completions", json=REQUEST) as response:
            for line in response.iter_lines():
                if (found := event_of(line)) is not None:
                    yield found

    return read


def text_of_json(chunk: Any) -> str:
    """The text of a decoded chunk."""
    return (chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""


# Clients of models.


def openai_sync(url: str) -> Start:
    """OpenAI's own client."""
    import openai

    client = openai.OpenAI(base_url=url, api_key=KEY)
    return lambda: client.chat.completions.create(**REQUEST)


def litellm_async(url: str) -> Start:
    """litellm alone."""
    import litellm

    async def read() -> AsyncIterator[Any]:
        async for chunk in await litellm.acompletion(**litellm_request(url)):
            yield chunk

    return read


def litellm_sync(url: str) -> Start:
    """litellm alone, synchronous."""
    import litellm

    return lambda: litellm.completion(**litellm_request(url))


def litellm_request(url: str) -> dict[str, Any]:
    """What litellm is asked."""
    return REQUEST | {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}


def text_of_chunk(chunk: Any) -> str:
    """The text of a chunk of OpenAI's client, litellm, or a program that passes such chunks on."""
    choices = getattr(chunk, "choices", None)
    return (choices[0].delta.content or "") if choices else ""


def langchain(url: str) -> Start:
    """LangChain's chat model of OpenAI."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=url, api_key=KEY)
    return lambda: model.stream(QUESTION)


def pydantic_ai(url: str) -> Start:
    """An agent of pydantic-ai, its text as it comes."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=KEY)))

    async def read() -> AsyncIterator[str]:
        async with agent.run_stream(QUESTION) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text

    return read


# Programs.


def dspy_program(url: str, cache: bool = False) -> Any:
    """The program that is asked in DSPy."""
    import dspy

    # What it runs at once is limited to 8, past which streams stall; see `dspy_as_it_comes`.
    dspy.configure(async_max_workers=2000)
    program = dspy.Predict("question -> answer")
    program.set_lm(dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=cache))
    return program


def dspy_plain(url: str) -> Start:
    """DSPy without a listener: the model's chunks."""
    import dspy

    stream = dspy.streamify(dspy_program(url), async_streaming=False)
    return lambda: stream(question=QUESTION)


def dspy_listener(url: str) -> Start:
    """DSPy with a listener. Streamified for each call: its listeners keep state between calls."""
    import dspy

    program = dspy_program(url)

    def start() -> Any:
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        return dspy.streamify(program, stream_listeners=[listener], async_streaming=False)(question=QUESTION)

    return start


def dspy_as_it_comes(url: str) -> Start:
    """DSPy with a listener, and its own limit of what runs at once."""
    import dspy

    start = dspy_listener(url)
    dspy.configure(async_max_workers=8)
    return start


def text_of_response(event: Any) -> str:
    """The text of a listened field's event."""
    chunk = getattr(event, "chunk", None)
    return chunk if isinstance(chunk, str) else ""


def our_program(url: str, engine: str, cache: bool = False) -> Any:
    """The program that is asked in ours."""
    import lmstream_sync as lms

    program = lms.Predict("question -> answer")
    program.set_lm(lms.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=cache, engine=engine))
    return program


def ours(url: str, engine: str = "direct", **options: Any) -> Start:
    """This library with a listener and the synchronous iterator."""
    import lmstream_sync as lms

    program = our_program(url, engine)
    stream = lms.streamify(program, stream_listeners=[lms.StreamListener("answer")], **options)
    return lambda: stream(question=QUESTION)


def ours_async(url: str) -> Start:
    """The same through the asynchronous wrapper."""
    return ours(url, async_streaming=True)


def ours_raw(url: str) -> Start:
    """This library without a listener: the model's chunks."""
    import lmstream_sync as lms

    stream = lms.streamify(our_program(url, "direct"))
    return lambda: stream(question=QUESTION)


def ours_litellm(url: str) -> Start:
    """A listener and the synchronous iterator, over litellm."""
    return ours(url, "litellm")


def ours_litellm_async(url: str) -> Start:
    """The same through the asynchronous wrapper."""
    return ours(url, "litellm", async_streaming=True)


def ours_litellm_raw(url: str) -> Start:
    """The model's chunks, over litellm."""
    import lmstream_sync as lms

    stream = lms.streamify(our_program(url, "litellm"))
    return lambda: stream(question=QUESTION)


CONTENDERS = {
    "aiohttp": Contender("aiohttp, json.loads", aiohttp_raw, text_of_json, "aiohttp", True),
    "aiohttp_lines": Contender("aiohttp, line by line", aiohttp_lines, text_of_json, "aiohttp", True),
    "httpx": Contender("httpx, json.loads", httpx_sync, text_of_json, "httpx"),
    "openai": Contender("openai", openai_sync, text_of_chunk, "openai"),
    "litellm": Contender("litellm, async", litellm_async, text_of_chunk, "litellm", True),
    "litellm_sync": Contender("litellm, sync", litellm_sync, text_of_chunk, "litellm"),
    "langchain": Contender("LangChain", langchain, lambda chunk: chunk.text, "langchain_openai"),
    "pydantic_ai": Contender("pydantic-ai, async", pydantic_ai, str, "pydantic_ai", True),
    "dspy": Contender("DSPy, no listener", dspy_plain, text_of_chunk, "dspy"),
    "dspy_listener": Contender("DSPy, listener", dspy_listener, text_of_response, "dspy"),
    "dspy_limited": Contender("DSPy, its default limit", dspy_as_it_comes, text_of_response, "dspy"),
    "ours": Contender("**lmstream_sync**, listener", ours, text_of_response, "lmstream_sync"),
    "ours_async": Contender("**lmstream_sync**, async wrapper", ours_async, text_of_response, "lmstream_sync", True),
    "ours_raw": Contender("**lmstream_sync**, raw chunks", ours_raw, text_of_chunk, "lmstream_sync"),
    "ours_litellm": Contender("**lmstream_sync**, litellm engine", ours_litellm, text_of_response, "lmstream_sync"),
    "ours_litellm_async": Contender(
        "**lmstream_sync**, litellm engine, async wrapper", ours_litellm_async, text_of_response, "lmstream_sync", True
    ),
    "ours_litellm_raw": Contender(
        "**lmstream_sync**, litellm engine, raw chunks", ours_litellm_raw, text_of_chunk, "lmstream_sync"
    ),
}
