"""Predictors are found in attributes, lists, tuples and dicts, each once, by their paths."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any, NamedTuple

import pytest

import lmstream_sync as lms


def predictor(signature: str = "q -> a") -> lms.Predict:
    return lms.Predict(signature)


class Leaf(lms.Module):
    def __init__(self) -> None:
        self.predict = predictor()


class Everywhere(lms.Module):
    def __init__(self) -> None:
        self.first = predictor()
        self.nested = Leaf()
        self.steps = [predictor(), Leaf(), "no module"]
        self.pair = (predictor(), 3)
        self.by_name = {"k": predictor(), 7: Leaf()}
        self.grid = [[predictor()], {"deep": (Leaf(),)}]


def names(module: lms.Module) -> list[str]:
    return [name for name, _ in module.named_predictors()]


def test_names_are_the_paths_in_the_order_of_the_attributes() -> None:
    assert names(Everywhere()) == [
        "first",
        "nested.predict",
        "steps[0]",
        "steps[1].predict",
        "pair[0]",
        "by_name['k']",
        "by_name[7].predict",
        "grid[0][0]",
        "grid[1]['deep'][0].predict",
    ]


def test_a_bare_predictor_is_called_self_and_chain_of_thought_has_predict() -> None:
    bare = predictor()
    assert bare.named_predictors() == [("self", bare)] and bare.predictors() == [bare]
    assert names(lms.ChainOfThought("q -> a")) == ["predict"]


def test_shared_and_cyclic_modules_come_once_under_their_first_path() -> None:
    class Knot(lms.Module):
        def __init__(self) -> None:
            self.a = predictor()
            self.b = self.a
            self.me = self
            self.loop: list[Any] = [Leaf()]
            self.loop.append(self.loop)
            self.again = self.loop[0]

    assert names(Knot()) == ["a", "loop[0].predict"]
    assert "a=Predict(q -> a)" in repr(Knot())


def test_what_a_predictor_holds_itself_is_not_searched() -> None:
    outer = predictor()
    outer.demos = [{"q": "1", "a": "2", "odd": predictor()}]
    outer.config["odd"] = [predictor()]
    assert names(outer) == ["self"]


def test_named_sub_modules_begin_with_the_module_itself() -> None:
    module = Everywhere()
    found = dict(module.named_sub_modules())
    assert found["self"] is module
    assert found["self.steps[1]"] is module.steps[1]
    assert [name for name, _ in module.named_sub_modules(Leaf)] == [
        "self.nested",
        "self.steps[1]",
        "self.by_name[7]",
        "self.grid[1]['deep'][0]",
    ]


def test_set_lm_reaches_every_predictor_and_get_lm_gives_the_one() -> None:
    module, lm, other = Everywhere(), lms.LM("openai/one"), lms.LM("openai/two")
    assert module.get_lm() is None
    module.set_lm(lm)
    assert {id(each.lm) for each in module.predictors()} == {id(lm)} and module.get_lm() is lm
    module.first.lm = other
    with pytest.raises(lms.ConfigurationError, match="several LMs"):
        module.get_lm()


def test_map_named_predictors_replaces_them_on_every_path() -> None:
    class Pair(NamedTuple):
        left: lms.Predict
        right: int

    module = Everywhere()
    module.shared = module.first
    module.named_pair = Pair(predictor(), 1)
    assert module.map_named_predictors(lambda p: lms.Predict("q -> b")) is module
    assert {each.signature.signature for each in module.predictors()} == {"q -> b"}
    assert module.shared is module.first
    assert isinstance(module.named_pair, Pair) and isinstance(module.pair, tuple)
    new = predictor()
    assert predictor().map_named_predictors(lambda p: new) is new


@pytest.mark.parametrize("make", [lambda m: m.deepcopy(), copy.deepcopy])
def test_a_deep_copy_shares_models_and_callbacks_and_nothing_else(make: Any) -> None:
    module, lm, watching = Everywhere(), lms.LM("openai/one"), lms.BaseCallback()
    module.set_lm(lm)
    module.callbacks.append(watching)
    module.first.demos = [{"q": "1", "a": "2"}]
    module.lock = threading.Lock()
    module.me = module
    made = make(module)
    assert made.me is made and names(made) == names(module)
    assert not {id(each) for each in made.predictors()} & {id(each) for each in module.predictors()}
    assert made.get_lm() is lm and made.lock is module.lock
    assert made.callbacks == [watching] and made.callbacks is not module.callbacks
    made.first.demos[0]["q"] = "changed"
    assert module.first.demos == [{"q": "1", "a": "2"}]


def test_a_program_can_be_pickled() -> None:
    made = pickle.loads(pickle.dumps(lms.ChainOfThought("q, n: int -> a", temperature=0.5)))
    assert made.predict.signature.equals(lms.ChainOfThought("q, n: int -> a").predict.signature)
    assert made.predict.config == {"temperature": 0.5}
