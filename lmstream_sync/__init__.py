"""Stream language-model programs into an ordinary `for` loop.

    import lmstream_sync as lms

    lms.configure(lm=lms.LM("openai/gpt-4o-mini"))
    answer = lms.streamify(lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")])

    for event in answer(question="Why did a chicken cross the kitchen?"):
        if isinstance(event, lms.StreamResponse):
            print(event.chunk, end="", flush=True)

The way of one chunk, and the file in which each step is found:

1.  `streaming/streamify.py` takes the call in the caller's thread, binds the listeners (`streaming/listener.py`) and
    starts one task (`runtime/call.py`) on the event-loop thread (`runtime/loop.py`, one per process), in the
    caller's context. What a single predictor will ask is written before that (`program/at_hand.py`), and where the
    cache has the reply the call is over at once.
2.  There the program runs (`streaming/running.py`): `program/module.py`, and in it `program/predict.py`, whose
    signature (`signatures/signature.py`) says what goes in and comes out. What is synchronous runs in a worker
    thread (`runtime/workers.py`) and meets the loop again at its model calls (`runtime/crossing.py`).
3.  `adapters/chat.py` writes the prompt; `lm/model.py` looks in the cache (`lm/cache.py`) and asks the engine
    (`lm/direct_engine.py`, or `lm/litellm_engine.py`; `lm/direct_choice.py` says which), which opens the provider's
    stream. A failed start is tried again (`lm/retry.py`).
4.  A piece arrives: the engine makes a `Delta` of it (`lm/engine.py`), and the adapter's reader
    (`adapters/reader.py`; `program/reading.py` for what comes beside the text) turns it into deltas of output fields.
5.  `program/observing.py` is the seam to `streaming/observer.py`, which makes `StreamResponse` events (`events.py`)
    of what is listened to. Status messages (`streaming/status.py`) and what the program emits
    (`runtime/emitting.py`) join in their places.
6.  `runtime/channel.py` carries the events over to the reader's thread; its bound is the back-pressure.
7.  `Stream.__next__` (`runtime/stream.py`, with the fields' accounts in `streaming/stream.py`) hands out the event;
    `streaming/views.py` gives its text, `streaming/encoded.py` writes it for the web (`streaming/sse.py`, and the
    formats and doors of `web/`). When the reader goes away (`runtime/ending.py`), the task is stopped and the
    provider's connection closed.

The public names are loaded on first access, so that importing this package stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# At once, and after its own module: the object `settings` must win over the module of that name.
from lmstream_sync.settings import configure as configure, context as context, settings as settings

if TYPE_CHECKING:
    from lmstream_sync import (
        adapters as adapters,
        callbacks as callbacks,
        errors as errors,
        events as events,
        lm as lm,
        program as program,
        runtime as runtime,
        signatures as signatures,
        streaming as streaming,
        testing as testing,
    )
    from lmstream_sync.adapters import (
        Adapter as Adapter,
        ChatAdapter as ChatAdapter,
        JSONAdapter as JSONAdapter,
        XMLAdapter as XMLAdapter,
    )
    from lmstream_sync.callbacks import (
        BaseCallback as BaseCallback,
    )
    from lmstream_sync.errors import (
        AdapterParseError as AdapterParseError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        Busy as Busy,
        ConfigurationError as ConfigurationError,
        ContextWindowExceededError as ContextWindowExceededError,
        ListenerError as ListenerError,
        LMConnectionError as LMConnectionError,
        LMError as LMError,
        LMInterrupted as LMInterrupted,
        LMProtocolError as LMProtocolError,
        LMStreamError as LMStreamError,
        LoopDied as LoopDied,
        RateLimitError as RateLimitError,
        ServerError as ServerError,
        SignatureError as SignatureError,
        StreamCancelled as StreamCancelled,
        StreamClosed as StreamClosed,
        StreamError as StreamError,
        StreamForked as StreamForked,
        StreamRestarted as StreamRestarted,
        StreamTimeout as StreamTimeout,
        ToolError as ToolError,
    )
    from lmstream_sync.events import (
        StatusMessage as StatusMessage,
        StreamResponse as StreamResponse,
        StreamRestart as StreamRestart,
    )
    from lmstream_sync.lm import (
        LM as LM,
        LMRequestLRUCache as LMRequestLRUCache,
    )
    from lmstream_sync.program import (
        BestOfN as BestOfN,
        ChainOfThought as ChainOfThought,
        Module as Module,
        Parallel as Parallel,
        Predict as Predict,
        ReAct as ReAct,
        Refine as Refine,
        Tool as Tool,
    )
    from lmstream_sync.runtime.timeout import Timeout as Timeout
    from lmstream_sync.signatures import (
        Example as Example,
        InputField as InputField,
        OutputField as OutputField,
        Prediction as Prediction,
        Signature as Signature,
    )
    from lmstream_sync.signatures.types import (
        Audio as Audio,
        Citation as Citation,
        Citations as Citations,
        Code as Code,
        Document as Document,
        File as File,
        History as History,
        Image as Image,
        Reasoning as Reasoning,
        ToolCall as ToolCall,
        ToolCalls as ToolCalls,
        Type as Type,
    )
    from lmstream_sync.streaming import (
        AsyncStream as AsyncStream,
        StatusMessageProvider as StatusMessageProvider,
        Stream as Stream,
        StreamListener as StreamListener,
        aemit as aemit,
        asyncify as asyncify,
        cancel as cancel,
        emit as emit,
        iterate as iterate,
        merge as merge,
        run_many as run_many,
        stream as stream,
        streamify as streamify,
        streaming_response as streaming_response,
        syncify as syncify,
        warm_up as warm_up,
    )

__version__ = "0.1.0"

#: Where each public name lives; `__getattr__` loads it on first access. The block above says the same to type checkers.
_HOMES = {
    "adapters": "Adapter ChatAdapter JSONAdapter XMLAdapter",
    "callbacks": "BaseCallback",
    "errors": (
        "AdapterParseError AuthenticationError BadRequestError Busy ConfigurationError ContextWindowExceededError "
        "LMConnectionError LMError LMInterrupted LMProtocolError LMStreamError ListenerError LoopDied "
        "RateLimitError ServerError SignatureError StreamCancelled StreamClosed StreamError StreamForked "
        "StreamRestarted StreamTimeout ToolError"
    ),
    "events": "StatusMessage StreamResponse StreamRestart",
    "lm": "LM LMRequestLRUCache",
    "program": "BestOfN ChainOfThought Module Parallel Predict ReAct Refine Tool",
    "runtime.timeout": "Timeout",
    "settings": "configure context settings",
    "signatures": "Example InputField OutputField Prediction Signature",
    "signatures.types": ("Audio Citation Citations Code Document File History Image Reasoning ToolCall ToolCalls Type"),
    "streaming": (
        "AsyncStream StatusMessageProvider Stream StreamListener aemit asyncify cancel emit iterate merge run_many "
        "stream streamify streaming_response syncify warm_up"
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

#: The rooms that are reached as attributes (`lms.streaming.StreamListener`, as in DSPy).
_ROOMS = ("adapters", "callbacks", "errors", "events", "lm", "program", "runtime", "signatures", "streaming", "testing")

__all__ = sorted(_HOME_OF)

if not TYPE_CHECKING:  # type checkers must see the names above and no others

    def __getattr__(name: str) -> Any:
        """Load a public name, or one of the package's rooms, when it is first asked for."""
        if name in _HOME_OF:
            value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        elif name in _ROOMS:
            value = importlib.import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
