"""Callbacks and settings hold on every way that a call takes: over the loop, workers, threads, tasks and streams."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import lmstream_sync as lms
from lmstream_sync.callbacks import active_call_id, watching
from lmstream_sync.testing import Gate, Reply, ScriptedServer

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chat(**fields: str) -> str:
    return "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in fields.items()) + "[[ ## completed ## ]]"


class Seen(NamedTuple):
    hook: str
    call_id: str
    parent: str | None
    thread: str
    told: Any


class Recorder(lms.BaseCallback):
    """Writes down every hook, whose call it is in, and the thread."""

    def __init__(self, log: list[Seen] | None = None) -> None:
        self.seen: list[Seen] = [] if log is None else log

    def note(self, hook: str, call_id: str, told: Any) -> None:
        self.seen.append(Seen(hook, call_id, active_call_id.get(), threading.current_thread().name, told))

    def hooks(self) -> list[str]:
        return [each.hook for each in self.seen]


def _hook(kind: str, when: str) -> Callable[..., None]:
    def start(self: Recorder, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.note(f"{kind} start", call_id, (instance, inputs))

    def end(self: Recorder, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.note(f"{kind} end", call_id, outputs if exception is None else exception)

    return start if when == "start" else end


for _kind in ("module", "lm", "adapter_format", "adapter_parse", "tool"):
    for _when in ("start", "end"):
        setattr(Recorder, f"on_{_kind}_{_when}", _hook(_kind, _when))

PREDICT = ["module start", "adapter_format start", "adapter_format end", "lm start", "lm end"]
PREDICT += ["adapter_parse start", "adapter_parse end", "module end"]
AGENT = ["module start", *PREDICT, "tool start", "tool end", "module end"]


def look_up(topic: str) -> str:
    """Look something up."""
    return f"{topic}: {lms.settings.get('flavour')} in {active_call_id.get()}"


class Agent(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")
        self.tool = lms.Tool(look_up)

    def forward(self, q: str) -> lms.Prediction:
        return lms.Prediction(answer=self.ask(q=q).answer, found=self.tool(topic=q))


class AsyncAgent(Agent):
    async def aforward(self, q: str) -> lms.Prediction:
        answer = (await self.ask.acall(q=q)).answer
        return lms.Prediction(answer=answer, found=await self.tool.acall(topic=q))


class Outer(lms.Module):
    """A module of the other colour round an agent."""

    def __init__(self, inner: lms.Module) -> None:
        self.inner = inner


class SyncOuter(Outer):
    def forward(self, q: str) -> Any:
        return self.inner(q=q)


class AsyncOuter(Outer):
    async def aforward(self, q: str) -> Any:
        return await self.inner.acall(q=q)


def called(program: lms.Module, **inputs: Any) -> Any:
    return program(**inputs)


def awaited(program: lms.Module, **inputs: Any) -> Any:
    return asyncio.run(program.acall(**inputs))


def streamed(program: lms.Module, **inputs: Any) -> Any:
    names = [name for name, _ in program.named_predictors()]
    listener = lms.StreamListener("answer", predict_name=names[0])
    return lms.streamify(program, stream_listeners=[listener])(**inputs).result()


def asyncified(program: lms.Module, **inputs: Any) -> Any:
    return asyncio.run(lms.asyncify(program)(**inputs))  # type: ignore[arg-type]


def syncified(program: lms.Module, **inputs: Any) -> Any:
    return lms.syncify(program)(**inputs)


WAYS = [called, awaited, streamed, asyncified, syncified]


@pytest.mark.parametrize("make", [Agent, AsyncAgent])
@pytest.mark.parametrize("way", WAYS)
def test_every_start_has_its_end_in_order_and_each_call_knows_its_parent(serve: Any, way: Any, make: Any) -> None:
    serve(chat(answer="yes"))
    recorder = Recorder()
    with lms.context(callbacks=[recorder], flavour="salt"):
        made = way(make(), q="?")
    assert recorder.hooks() == AGENT
    open_calls: list[str] = []
    for each in recorder.seen:
        if each.hook.endswith("end"):
            assert open_calls.pop() == each.call_id
        assert each.parent == (open_calls[-1] if open_calls else None), each
        if each.hook.endswith("start"):
            open_calls.append(each.call_id)
    assert len({each.call_id for each in recorder.seen}) == len(AGENT) / 2
    (tool,) = (each.call_id for each in recorder.seen if each.hook == "tool start")
    assert made.found == f"?: salt in {tool}"
    assert active_call_id.get() is None


@pytest.mark.parametrize("outer", [SyncOuter, AsyncOuter])
@pytest.mark.parametrize("inner", [Agent, AsyncAgent])
@pytest.mark.parametrize("way", [called, awaited, streamed])
def test_they_hold_from_the_loop_into_workers_and_back(serve: Any, way: Any, outer: Any, inner: Any) -> None:
    serve(chat(answer="yes"))
    recorder = Recorder()
    with lms.context(callbacks=[recorder], flavour="deep"):
        made = way(outer(inner()), q="?")
    assert recorder.hooks() == ["module start", *AGENT, "module end"]
    assert recorder.seen[1].parent == recorder.seen[0].call_id
    assert made.found.startswith("?: deep in ")


def test_hooks_run_where_the_call_runs(serve: Any) -> None:
    serve(chat(answer="yes"))
    recorder = Recorder()
    with lms.context(callbacks=[recorder]):
        called(Agent(), q="?")
        here = {each.thread for each in recorder.seen}
        recorder.seen.clear()
        streamed(AsyncAgent(), q="?")
    assert here == {threading.current_thread().name}
    assert {each.thread for each in recorder.seen} == {"lmstream-loop"}


def test_those_of_the_settings_come_first_then_those_of_the_instance(serve: Any) -> None:
    server = serve(chat(answer="yes"))
    log: list[Any] = []

    class Named(lms.BaseCallback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            log.append(("module start", self.name, call_id))

        def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
            log.append(("module end", self.name, call_id))

    with lms.context(callbacks=[Named("one"), Named("two")], lm=server.lm()):
        lms.Predict("q -> answer", callbacks=[Named("own")])(q="?")
    assert [each[:2] for each in log] == [
        (f"module {when}", name) for when in ("start", "end") for name in ("one", "two", "own")
    ]
    assert len({each[2] for each in log}) == 1


@pytest.mark.parametrize("way", WAYS)
def test_an_instances_own_see_it_alone(serve: Any, way: Any) -> None:
    server = serve(chat(answer="yes"))
    module, lm, tool, adapter = Recorder(), Recorder(), Recorder(), Recorder()
    agent = Agent()
    agent.ask.callbacks.append(module)
    agent.tool = lms.Tool(look_up, callbacks=[tool])
    with lms.context(lm=server.lm(callbacks=[lm]), adapter=lms.ChatAdapter(callbacks=[adapter])):
        way(agent, q="?")
    assert module.hooks() == ["module start", "module end"] and module.seen[0].told[0] is agent.ask
    assert lm.hooks() == ["lm start", "lm end"] and lm.seen[1].told == [chat(answer="yes")]
    assert tool.hooks() == ["tool start", "tool end"] and tool.seen[0].told[1] == {"topic": "?"}
    assert adapter.hooks() == [f"adapter_{what} {when}" for what in ("format", "parse") for when in ("start", "end")]


def test_configured_callbacks_are_seen_by_the_next_call_in_any_thread(serve: Any) -> None:
    server = serve(chat(answer="yes"))
    recorder = Recorder()
    lms.configure(callbacks=[recorder], lm=server.lm())
    ended: list[str] = []

    def elsewhere() -> None:
        ended.append(lms.Predict("q -> answer")(q="?").answer)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ended == ["yes"] and recorder.hooks() == PREDICT
    lms.configure(callbacks=[])
    lms.Predict("q -> answer")(q="?")
    assert recorder.hooks() == PREDICT


def test_no_callbacks_may_be_said_in_any_way(serve: Any) -> None:
    serve(chat(answer="yes"))
    for nothing in ([], (), None):
        with lms.context(callbacks=nothing):
            assert lms.Predict("q -> answer")(q="?").answer == "yes"


@pytest.mark.parametrize("make", [Agent, AsyncAgent])
@pytest.mark.parametrize("way", WAYS)
def test_a_hook_that_raises_is_logged_and_changes_nothing(
    serve: Any, way: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    serve(chat(answer="yes"))

    class Broken(Recorder):
        def note(self, hook: str, call_id: str, told: Any) -> None:
            super().note(hook, call_id, told)
            raise ValueError(f"broken at {hook}")

    broken, whole = Broken(), Recorder()
    with caplog.at_level(logging.WARNING, "lmstream_sync.callbacks"), lms.context(callbacks=[broken, whole]):
        assert way(make(), q="?").answer == "yes"
    assert broken.hooks() == whole.hooks() == AGENT
    said = [record for record in caplog.records if record.name == "lmstream_sync.callbacks"]
    assert [str(record.exc_info[1]) for record in said if record.exc_info] == [f"broken at {hook}" for hook in AGENT]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_call_raised_is_told_at_its_end_and_at_those_round_it(serve: Any, way: Any) -> None:
    serve(Reply(status=401))
    recorder = Recorder()
    with lms.context(callbacks=[recorder]), pytest.raises(lms.AuthenticationError) as caught:
        way(Agent(), q="?")
    assert recorder.hooks() == [*AGENT[:5], "lm end", "module end", "module end"]
    for each in recorder.seen[-3:]:
        assert type(each.told) is lms.AuthenticationError and str(each.told) == str(caught.value)


def test_a_tool_and_an_adapter_that_fail_are_told_too(serve: Any) -> None:
    serve("no marker at all")
    recorder = Recorder()

    def broken(topic: str) -> str:
        raise KeyError(topic)

    with lms.context(callbacks=[recorder], adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        with pytest.raises(lms.AdapterParseError):
            lms.Predict("q -> answer")(q="?")
        with pytest.raises(KeyError, match="lost"):
            lms.Tool(broken)(topic="lost")
    failed = {each.hook: type(each.told) for each in recorder.seen if isinstance(each.told, BaseException)}
    assert failed == {
        "adapter_parse end": lms.AdapterParseError,
        "module end": lms.AdapterParseError,
        "tool end": KeyError,
    }


def test_a_reader_who_leaves_ends_every_call_that_was_told_of() -> None:
    gate = Gate()
    recorder = Recorder()
    with ScriptedServer(Reply(chat(answer="yes and no"), cut=4, pauses={6: gate})) as server:
        with lms.context(callbacks=[recorder], lm=server.lm()):
            stream = lms.streamify(Agent(), stream_listeners=[lms.StreamListener("answer")])(q="?")
        assert isinstance(next(stream), lms.StreamResponse)
        stream.close()
        server.wait_for_reader_left()
    starts = [each.call_id for each in recorder.seen if each.hook.endswith("start")]
    assert sorted(starts) == sorted(each.call_id for each in recorder.seen if each.hook.endswith("end"))
    assert isinstance(recorder.seen[-1].told, BaseException)


# -- settings along a call


@pytest.mark.parametrize("make", [Agent, AsyncAgent])
def test_a_stream_keeps_what_was_in_force_at_its_call(serve: Any, make: Any) -> None:
    serve(chat(answer="yes"))
    recorder = Recorder()
    program = lms.streamify(make(), stream_listeners=[lms.StreamListener("answer")])
    with lms.context(flavour="at the call", callbacks=[recorder]):
        stream = program(q="?")
    with lms.context(flavour="at the first next", callbacks=[]):
        list(stream)
    assert stream.prediction is not None and "at the call" in stream.prediction.found
    assert recorder.hooks() == AGENT


@pytest.mark.parametrize("way", WAYS)
def test_what_a_program_puts_over_settings_ends_with_its_block(serve: Any, way: Any) -> None:
    server = serve(chat(answer="yes"))

    class Switching(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> answer")

        def forward(self, q: str) -> lms.Prediction:
            with lms.context(lm=server.lm(model="openai/inner"), flavour="inner"):
                with lms.context(flavour="innermost"):
                    innermost = lms.settings.flavour
                inner = self.ask(q=q)
            return lms.Prediction(inner=inner, outer=self.ask(q=q), seen=[innermost, lms.settings.flavour])

    with lms.context(lm=server.lm(model="openai/outer"), flavour="outer"):
        made = way(Switching(), q="?")
        assert lms.settings.flavour == "outer"
    assert [request.body["model"] for request in server.requests] == ["inner", "outer"]
    assert made.seen == ["innermost", "outer"]


def test_tasks_do_not_see_each_others_contexts(serve: Any) -> None:
    serve(chat(answer="yes"))

    async def one(flavour: int) -> tuple[str, list[str]]:
        recorder = Recorder()
        with lms.context(flavour=flavour, callbacks=[recorder]):
            await asyncio.sleep(0)
            made = await AsyncAgent().acall(q="?")
            await asyncio.sleep(0)
            assert lms.settings.flavour == flavour
            return made.found, recorder.hooks()

    async def many() -> list[tuple[str, list[str]]]:
        return await asyncio.gather(*(one(flavour) for flavour in range(8)))

    for flavour, (found, hooks) in enumerate(asyncio.run(many())):
        assert found.startswith(f"?: {flavour} in ") and hooks == AGENT
    assert "flavour" not in lms.settings


def test_a_task_inherits_the_context_it_was_made_in() -> None:
    async def read() -> Any:
        await asyncio.sleep(0)
        return lms.settings.get("flavour")

    async def main() -> list[Any]:
        with lms.context(flavour="made in"):
            task = asyncio.ensure_future(read())
        return [await task, await read()]

    assert asyncio.run(main()) == ["made in", None]


def test_a_plain_thread_starts_without_the_context_unless_it_is_handed_over() -> None:
    seen: list[Any] = []
    with lms.context(flavour="mine"):
        here = contextvars.copy_context()
        threads = [
            threading.Thread(target=lambda: seen.append(lms.settings.get("flavour"))),
            threading.Thread(target=here.run, args=(lambda: seen.append(lms.settings.get("flavour")),)),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert seen == [None, "mine"]


def test_asyncify_and_syncify_take_settings_and_the_open_call_along() -> None:
    def read() -> tuple[Any, str | None]:
        return lms.settings.flavour, active_call_id.get()

    async def aread() -> tuple[Any, str | None]:
        return read()

    class Reads(lms.Module):
        async def aforward(self) -> Any:
            return [await lms.asyncify(read)(), await lms.asyncify(lms.syncify(aread))()]

    recorder = Recorder()
    with lms.context(flavour="taken along", callbacks=[recorder]):
        assert Reads()() == [("taken along", recorder.seen[0].call_id)] * 2


def test_settings_can_be_read_and_set_as_a_dict_is() -> None:
    lms.settings["flavour"] = "salt"
    with lms.context(flavour="sugar"):
        assert lms.settings["flavour"] == lms.settings.config["flavour"] == lms.settings.copy()["flavour"] == "sugar"
    assert lms.settings["flavour"] == "salt"
    lms.settings.copy()["flavour"] = "lost"
    assert lms.settings.flavour == "salt"


@pytest.mark.parametrize("make", [Agent, AsyncAgent])
def test_32_threads_at_once_each_have_their_own(serve: Any, make: Any) -> None:
    threads = 32
    server = serve(Reply(chat(answer="yes"), cut=5, usage=USAGE))
    barrier = threading.Barrier(threads)
    agent = make()
    program = lms.streamify(agent, stream_listeners=[lms.StreamListener("answer")])
    shared: list[Seen] = []
    lms.configure(callbacks=[Recorder(shared)])
    wrong: list[Any] = []

    def one(number: int) -> None:
        recorder = Recorder()
        trace: list[Any] = []
        barrier.wait()
        try:
            with lms.context(
                lm=server.lm(model=f"openai/m{number}"),
                callbacks=[recorder],
                flavour=number,
                trace=trace,
                track_usage=True,
            ):
                made = program(q=str(number)).result() if number % 2 else agent(q=str(number))
            assert made.found.startswith(f"{number}: {number} in ")
            assert recorder.hooks() == AGENT
            assert list(made.get_lm_usage()) == [f"openai/m{number}"]
            assert [inputs for _, inputs, _ in trace] == [{"q": str(number)}]
            lms.Tool(look_up)(topic="outside the context")
        except BaseException as error:
            wrong.append((number, error))

    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert wrong == []
    assert sorted(each.hook for each in shared) == ["tool end"] * threads + ["tool start"] * threads


# -- usage and trace


@pytest.fixture
def two_models() -> Iterator[tuple[lms.LM, lms.LM]]:
    """Two that report the same usage for every request."""
    with ScriptedServer(Reply(chat(answer="yes"), usage=USAGE)) as server:
        yield server.lm(model="openai/one"), server.lm(model="openai/two")


def total(usage: dict[str, Any]) -> dict[str, int]:
    return {model: counts["total_tokens"] for model, counts in usage.items()}


@pytest.mark.parametrize("outer", [SyncOuter, AsyncOuter])
@pytest.mark.parametrize("way", WAYS)
def test_usage_is_summed_per_model_and_call_at_every_level(two_models: Any, way: Any, outer: Any) -> None:
    one, two = two_models

    class Pair(lms.Module):
        def __init__(self) -> None:
            self.first = lms.Predict("q -> answer")
            self.second = lms.Predict("q -> answer")
            self.first.lm, self.second.lm = one, two

        def forward(self, q: str) -> lms.Prediction:
            def tool() -> str:
                return str(self.second(q=q).answer)

            inner = self.first(q=q)
            self.second(q=q)
            lms.Tool(tool)()
            return lms.Prediction(answer=inner.answer, inner=inner)

    with lms.context(track_usage=True):
        program = outer(Pair())
        for _ in range(2):  # each call for itself
            made = way(program, q="?")
            assert total(made.get_lm_usage()) == {"openai/one": 15, "openai/two": 30}
            assert total(made.inner.get_lm_usage()) == {"openai/one": 15}


def test_usage_is_tracked_where_it_is_configured_and_not_where_it_is_not(two_models: Any) -> None:
    one, _ = two_models
    with lms.context(lm=one):
        assert lms.Predict("q -> answer")(q="?").get_lm_usage() == {}
        lms.configure(track_usage=True)
        assert total(lms.Predict("q -> answer")(q="?").get_lm_usage()) == {"openai/one": 15}
        with lms.context(track_usage=False):
            assert lms.Predict("q -> answer")(q="?").get_lm_usage() == {}


@pytest.mark.parametrize("way", WAYS)
def test_a_cached_answer_used_nothing(way: Any) -> None:
    with ScriptedServer(Reply(chat(answer="yes"), usage=USAGE)) as server:
        agent = Agent()
        with lms.context(lm=server.lm(cache=True), track_usage=True, cache=lms.LMRequestLRUCache()):
            usages = [total(way(agent, q="?").get_lm_usage()) for _ in range(2)]
    assert usages == [{"openai/scripted": 15}, {}]


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_has_each_run_of_a_predictor_in_order(serve: Any, way: Any) -> None:
    serve(chat(answer="yes"))
    trace: list[Any] = []
    program = AsyncOuter(SyncOuter(Agent()))
    with lms.context(trace=trace):
        way(program, q="first")
        with lms.context(trace=[]):
            way(program, q="elsewhere")
        way(program, q="second")
    assert [inputs for _, inputs, _ in trace] == [{"q": "first"}, {"q": "second"}]
    assert all(predictor is program.predictors()[0] and made.answer == "yes" for predictor, _, made in trace)


def test_a_coroutine_that_is_ended_in_another_context_still_tells_its_end() -> None:
    """As the garbage collector ends it when its loop was closed before it."""

    class Waits(lms.Module):
        async def aforward(self) -> None:
            await asyncio.sleep(0)

    recorder = Recorder()
    with lms.context(callbacks=[recorder]):
        coroutine = Waits().acall()
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()
    assert [(each.hook, type(each.told)) for each in recorder.seen[1:]] == [("module end", GeneratorExit)]


def test_only_what_has_a_hook_watches_wherever_the_hook_is() -> None:
    """What is `BaseCallback`'s own does nothing, so a call with no other hook costs what one without callbacks does."""

    class Inherits(lms.BaseCallback):
        def on_tool_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None: ...

    class NoBase:
        def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None: ...

    inherits, no_base, on_object = Inherits(), NoBase(), lms.BaseCallback()
    with lms.context(callbacks=[inherits, no_base, on_object]):
        assert [list(watching(kind)) for kind in ("module", "lm", "tool")] == [[], [no_base], [inherits]]
        assert list(watching("module", [inherits])) == []
        seen: list[Any] = []
        vars(on_object)["on_module_start"] = lambda **told: seen.append(told["inputs"])
        assert list(watching("module")) == [on_object]
        Inherits.on_module_end = lambda self, **told: seen.append(told["outputs"])  # type: ignore[method-assign]
        assert list(watching("module")) == [inherits, on_object]
        SyncOnly()(q="x")
    assert seen == [{"q": "x"}, "x"]


class SyncOnly(lms.Module):
    def forward(self, q: str) -> str:
        return q


def test_who_watches_nothing_of_a_request_has_nothing_made_for_it(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inputs of a hook are copied and scrubbed for those who see them alone."""
    serve(chat(answer="yes"))

    class Modules(lms.BaseCallback):
        def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None: ...

    def never(*_: Any) -> Any:
        raise AssertionError("nobody sees this")

    monkeypatch.setattr("lmstream_sync.lm.asking.Asked.shown", never)
    with lms.context(callbacks=[Modules()]):
        assert lms.Predict("q -> answer")(q="x").answer == "yes"


def test_a_call_that_is_ended_in_another_context_leaves_that_one_as_it_was(recorded: Recorder) -> None:
    class Waits(lms.Module):
        async def aforward(self) -> None:
            await asyncio.sleep(0)

    waits = Waits()
    coroutine = waits.acall()
    contextvars.copy_context().run(coroutine.send, None)
    coroutine.close()
    asyncio.run(waits.acall())
    assert recorded.hooks() == ["module start", "module end"] * 2


@pytest.fixture
def recorded() -> Iterator[Recorder]:
    recorder = Recorder()
    with lms.context(callbacks=[recorder]):
        yield recorder
