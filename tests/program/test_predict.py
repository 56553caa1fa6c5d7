"""`Predict` and `ChainOfThought`: what they ask, and what they make of the reply, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.lm.usage import current_tally
from lmstream_sync.runtime.crossing import run
from lmstream_sync.testing import Reply

from .conftest import Hooks, reply


def called(module: lms.Module, **inputs: Any) -> Any:
    return module(**inputs)


def awaited(module: lms.Module, **inputs: Any) -> Any:
    """On a loop of somebody else's."""
    return asyncio.run(module.acall(**inputs))


def on_our_loop(module: lms.Module, **inputs: Any) -> Any:
    return run(lambda: module.acall(**inputs), instead="")


WAYS = [called, awaited, on_our_loop]
Way = Callable[..., Any]


@pytest.mark.parametrize("way", WAYS)
def test_it_gives_the_fields_as_their_types_and_as_they_stood(serve: Any, way: Way) -> None:
    serve(reply(answer="a pan", score=" 07 "))
    made = way(lms.Predict("question -> answer, score: int"), question="What?")
    assert (made.answer, made.score) == ("a pan", 7)
    assert (made.raw("answer"), made.raw("score")) == ("a pan", "07")
    assert made.labels().toDict() == {"answer": "a pan", "score": 7}


def test_nobody_listens_so_nothing_streams(serve: Any) -> None:
    server = serve(reply(answer="yes"))
    lms.Predict("q -> answer")(q="?")
    assert not server.requests[0].body.get("stream")


def test_many_threads_may_ask_one_predictor(serve: Any) -> None:
    serve(lambda request: reply(answer=request["messages"][-1]["content"].split("<q>")[1].split("</q>")[0]))
    ask = lms.Predict("q -> answer")
    lm, got, barrier = lms.settings.lm, {}, threading.Barrier(12)

    def one(i: int) -> None:
        barrier.wait()
        got[i] = ask(q=f"<q>{i}</q>", lm=lm).answer

    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == {i: str(i) for i in range(12)}


def test_options_of_the_call_win_over_those_of_the_predictor(serve: Any) -> None:
    server = serve(reply(answer="yes"), temperature=0.1)
    ask = lms.Predict("q -> answer", temperature=0.5, max_tokens=9)
    ask(q="?", config={"temperature": 0.7})
    assert (server.requests[0].body["temperature"], server.requests[0].body["max_tokens"]) == (0.7, 9)
    ask(q="?")
    assert server.requests[1].body["temperature"] == 0.5


def test_the_model_is_the_calls_else_the_predictors_else_that_of_the_settings(serve: Any) -> None:
    server = serve(reply(answer="settings"))
    own, of_call = server.lm(max_tokens=11), server.lm(max_tokens=22)
    ask = lms.Predict("q -> answer")
    ask(q="?")
    ask.lm = own
    ask(q="?")
    ask(q="?", lm=of_call)
    assert [each.body.get("max_tokens") for each in server.requests] == [None, 11, 22]


def test_demos_and_signature_may_come_with_the_call(serve: Any) -> None:
    server = serve(reply(answer="yes", b="other"))
    ask = lms.Predict("q -> answer")
    ask.demos = [{"q": "one?", "answer": "one"}]
    ask(q="?")
    ask(q="?", demos=[lms.Example(q="two?", answer="two")])
    assert ask(q="?", signature="q -> b").b == "other"
    prompts = [str(each.body["messages"]) for each in server.requests]
    assert "one?" in prompts[0] and "two?" in prompts[1] and "one?" not in prompts[1]
    assert ask.signature.signature == "q -> answer"


def test_an_input_field_may_bear_the_name_of_an_option(serve: Any) -> None:
    server = serve(reply(answer="yes"))
    lms.Predict("config, lm, demos -> answer")(config="C-1", lm="L-1", demos="D-1")
    assert all(word in str(server.requests[0].body["messages"]) for word in ("C-1", "L-1", "D-1"))


def test_the_adapter_is_that_of_the_settings(serve: Any) -> None:
    class Shouting(lms.ChatAdapter):
        def messages(self, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
            return [*super().messages(signature, demos, inputs), {"role": "user", "content": "LOUDER"}]

    server = serve(reply(answer="yes"))
    with lms.context(adapter=Shouting()):
        lms.Predict("q -> answer")(q="?")
    assert server.requests[0].body["messages"][-1]["content"] == "LOUDER"
    with lms.context(adapter=lms.ChatAdapter), pytest.raises(lms.ConfigurationError, match=r"lms\.ChatAdapter\(\)"):
        lms.Predict("q -> answer")(q="?")


@pytest.mark.parametrize("way", WAYS)
def test_several_answers_come_as_completions(serve: Any, way: Way) -> None:
    server = serve(reply(answer="yes", score="3"))
    made = way(lms.Predict("q -> answer, score: int", n=3), q="?")
    assert server.requests[0].body["n"] == 3
    assert made.completions.answer == ["yes"] * 3 and made.completions.score == [3] * 3
    assert made.answer == "yes" and made.completions[2].raw("score") == "3"


def test_usage_is_on_the_prediction_where_it_is_tracked(serve: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    serve(Reply(reply(answer="yes"), usage=usage))
    assert lms.Predict("q -> answer")(q="?").get_lm_usage() == {}
    with lms.context(track_usage=True):
        (counts,) = lms.Predict("q -> answer")(q="?").get_lm_usage().values()
    assert {name: counts[name] for name in usage} == usage
    assert current_tally.get() is None


@pytest.mark.parametrize("way", WAYS)
def test_a_programs_prediction_has_the_usage_of_all_its_parts(serve: Any, way: Way) -> None:
    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> answer")

        def forward(self, q: str) -> lms.Prediction:
            first = self.ask(q=q)
            assert next(iter(first.get_lm_usage().values()))["total_tokens"] == 15
            return self.ask(q=q)

    serve(Reply(reply(answer="yes"), usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}))
    with lms.context(track_usage=True):
        (counts,) = way(Twice(), q="?").get_lm_usage().values()
    assert counts["total_tokens"] == 30


def test_a_trace_is_kept_where_one_is_set(serve: Any) -> None:
    serve(reply(answer="yes"))
    ask = lms.Predict("q -> answer")
    with lms.context(trace=[]):
        made = ask(q="?")
        assert lms.settings.trace == [(ask, {"q": "?"}, made)]


def test_a_cached_answer_asks_nobody(serve: Any) -> None:
    server = serve(reply(answer="yes"), cache=True)
    for _ in range(2):
        assert lms.Predict("q -> answer")(q="cached by the predictor").answer == "yes"
    assert server.request_count == 1


def test_hooks_see_the_module_once_with_its_inputs(serve: Any, hooks: Hooks) -> None:
    serve(reply(reasoning="so", answer="yes"))
    lms.ChainOfThought("q -> answer")(q="?")
    assert hooks.seen == [
        ("start", "ChainOfThought", {"q": "?"}),
        ("start", "Predict", {"q": "?"}),
        ("end", "Prediction"),
        ("end", "Prediction"),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_chain_of_thought_asks_for_reasoning_first(serve: Any, way: Way) -> None:
    server = serve(reply(reasoning="so", answer="yes"))
    made = way(lms.ChainOfThought("q -> answer"), q="?")
    assert list(made.keys()) == ["reasoning", "answer"] and made.reasoning == "so"
    assert "[[ ## reasoning ## ]]" in str(server.requests[0].body["messages"])


def test_chain_of_thought_takes_a_field_of_ones_own() -> None:
    field = lms.OutputField(desc="in verse")
    (reasoning, _) = lms.ChainOfThought("q -> a", rationale_field=field).predict.signature.output_fields.values()
    assert (reasoning.name, reasoning.desc, reasoning.annotation) == ("reasoning", "in verse", str)
    typed = lms.ChainOfThought("q -> a", rationale_field_type=list[str]).predict.signature
    assert typed.output_fields["reasoning"].annotation == list[str]
    kept = lms.ChainOfThought("q -> a, reasoning: list[str]").predict.signature
    assert list(kept.output_fields) == ["a", "reasoning"] and kept.output_fields["reasoning"].annotation == list[str]
    with pytest.raises(lms.SignatureError, match="reasoning"):
        lms.ChainOfThought("reasoning -> a")


# Misuse, each said in so many words.


@pytest.mark.parametrize("make", [lms.Predict, lms.ChainOfThought])
@pytest.mark.parametrize("way", [*WAYS, lambda module, **inputs: module.check_call((), inputs)])
def test_inputs_that_are_missing_or_unknown_are_named(serve: Any, make: Any, way: Way) -> None:
    server = serve(reply(answer="yes"))
    with pytest.raises(lms.SignatureError, match=r"missing: q.*unknown: query"):
        way(make("q -> answer"), query="?")
    assert server.request_count == 0


def test_inputs_are_given_by_name() -> None:
    for call in (lms.Predict("q -> answer"), lms.ChainOfThought("q -> answer")):
        with pytest.raises(lms.SignatureError, match=r"predict\(q=\.\.\.\)"):
            call("?")


@pytest.mark.parametrize("way", [*WAYS, lambda module, **inputs: module.check_call((), inputs)])
def test_no_model_says_how_to_configure_one(way: Way) -> None:
    with pytest.raises(lms.ConfigurationError, match=r'lms\.configure\(lm=lms\.LM\("openai/gpt-4o-mini"\)\)'):
        way(lms.ChainOfThought("q -> answer"), q="?")


@pytest.mark.parametrize(("lm", "said"), [("openai/gpt-4o-mini", r"lms\.LM\('openai/gpt-4o-mini'\)"), (3, "int")])
def test_what_is_no_model_is_refused(lm: Any, said: str) -> None:
    with lms.context(lm=lm), pytest.raises(lms.ConfigurationError, match=said):
        lms.Predict("q -> answer")(q="?")


def test_a_config_that_is_no_dict_is_refused(serve: Any) -> None:
    serve(reply(answer="yes"))
    with pytest.raises(lms.ConfigurationError, match="dict"):
        lms.Predict("q -> answer")(q="?", config=0.5)


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_that_lacks_a_field_is_an_error_that_has_the_reply(serve: Any, way: Way) -> None:
    text = reply(answer="yes")
    serve(text)
    once = lms.ChatAdapter(use_json_adapter_fallback=False)
    with lms.context(adapter=once), pytest.raises(lms.AdapterParseError) as caught:
        way(lms.Predict("q -> answer, score: int"), q="?")
    error = caught.value
    assert (error.adapter_name, error.lm_response, error.field) == ("ChatAdapter", text, "score")
    assert error.parsed_result == {"answer": "yes"}


def test_a_call_that_would_block_the_loop_names_acall_and_asks_nobody(serve: Any) -> None:
    server = serve(reply(answer="yes"), cache=True)
    ask = lms.Predict("q -> answer")

    async def blocks() -> Any:
        return ask(q="?")

    for _ in range(2):
        with pytest.raises(lms.StreamError, match=r"await predict\.acall"):
            run(blocks, instead="")
    assert server.request_count == 0


def test_a_subclass_that_overrides_one_body_is_asked_by_it_whichever_way(serve: Any) -> None:
    class Polite(lms.Predict):
        def forward(self, **inputs: Any) -> lms.Prediction:
            made = super().forward(**inputs)
            made.answer += ", please"
            return made

    serve(reply(answer="yes"))
    for way in WAYS:
        assert way(Polite("q -> answer"), q="?").answer == "yes, please"
    Polite("q -> answer").check_call((), {"anything": 1})
