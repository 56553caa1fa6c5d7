"""Examples and predictions: DSPy's interface, and what we add."""

from __future__ import annotations

import copy
import pickle

import pydantic
import pytest

from lmstream_sync import Example, Prediction


class Item(pydantic.BaseModel):
    name: str


def test_fields_are_attributes_and_items() -> None:
    example = Example({"question": "why"}, answer="so")
    example.more = 1
    example["less"] = 0
    assert (example.question, example["answer"], example.more, example.less) == ("why", "so", 1, 0)
    assert example.keys() == ["question", "answer", "more", "less"]
    assert dict(example.items()) == dict(zip(example.keys(), example.values(), strict=True))
    assert "more" in example and len(example) == 4 and list(example) == example.keys()
    del example["more"]
    del example.less
    assert example.get("more", 5) == 5


@pytest.mark.parametrize("name", ["nothing", "_store_", "__nothing__"])
def test_an_unknown_field_is_an_attribute_error(name: str) -> None:
    for record in (Example(a=1), Prediction(a=1)):
        assert not hasattr(record, name)


def test_inputs_and_labels() -> None:
    example = Example(question="why", answer="so", id=3).with_inputs("question")
    assert example.inputs().toDict() == {"question": "why"}
    assert example.labels().toDict() == {"answer": "so", "id": 3}
    assert example.copy(answer="no").inputs().keys() == ["question"]
    assert Example(example).inputs().keys() == ["question"]
    assert example.without("id").keys() == ["question", "answer"]
    with pytest.raises(ValueError, match="with_inputs"):
        Example(a=1).inputs()


def test_records_are_equal_by_their_fields() -> None:
    assert Example(a=1, b=[1]) == Prediction(b=[1], a=1) != Example(a=1)
    assert hash(Example(a=1, b=[1])) == hash(Example(b=[1], a=1))
    assert Example(a=1) != {"a": 1}


def test_to_dict_dissolves_records_and_models() -> None:
    record = Example(inner=Example(a=Item(name="pen")), items=[Item(name="cup")], plain=(1,))
    assert record.toDict() == {"inner": {"a": {"name": "pen"}}, "items": [{"name": "cup"}], "plain": (1,)}


def test_a_prediction_gives_all_its_fields_as_labels() -> None:
    prediction = Prediction(answer="so", score=1)
    assert prediction.labels().toDict() == {"answer": "so", "score": 1}
    assert prediction.with_inputs("score").labels().toDict() == {"answer": "so"}


def test_raw_is_the_text_as_it_stood_in_the_reply() -> None:
    prediction = Prediction(answer="so", items=[1, 2], note=None)
    prediction._set_raw({"items": "[1,2]"})
    assert prediction.raw("items") == "[1,2]"
    assert prediction.raw("answer") == "so"
    assert prediction.raw("note") == ""
    assert Prediction(items=[1, 2]).raw("items") == "[1, 2]"
    with pytest.raises(KeyError, match="no field 'x'.*answer, items, note"):
        prediction.raw("x")


def test_several_completions() -> None:
    prediction = Prediction.from_completions([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], raw=[{"a": "1"}, {"a": " 2"}])
    assert (prediction.a, prediction.b, prediction.raw("a")) == (1, "x", "1")
    assert prediction.completions.a == prediction.completions["a"] == [1, 2]
    assert prediction.completions[1].b == "y" and prediction.completions[1].raw("a") == " 2"
    assert [one.a for one in prediction.completions] == [1, 2]
    assert len(prediction.completions) == 2 and "b" in prediction.completions
    assert "1 more" in repr(prediction)
    assert Prediction.from_completions({"a": [1, 2]}).a == 1
    with pytest.raises(ValueError, match="same fields"):
        Prediction.from_completions([{"a": 1}, {"b": 2}, {"a": 3}])


def test_predictions_compare_and_add_up_by_their_score() -> None:
    low, high = Prediction(score=1), Prediction(score="3")
    assert low < high and high >= 3 and low <= 1 and high > 2
    assert sum([low, high]) == 4 and high / 2 == 1.5 and 6 / high == 2
    assert max([low, high]) is high
    with pytest.raises(ValueError, match="score"):
        float(Prediction(a=1))
    with pytest.raises(TypeError):
        _ = low < "x"


def test_usage_and_cost() -> None:
    prediction = Prediction(a=1)
    assert prediction.get_lm_usage() == {} and prediction.cost is None and prediction.completions is None
    prediction.set_lm_usage({"m": {"total_tokens": 3}})
    prediction._set_cost(0.25)
    assert prediction.get_lm_usage() == {"m": {"total_tokens": 3}} and prediction.cost == 0.25
    assert prediction.keys() == ["a"]


def test_a_field_wins_over_a_property_of_its_name() -> None:
    prediction = Prediction(cost=3, completions="all")
    assert (prediction.cost, prediction.completions) == (3, "all")
    prediction.cost = 4
    assert prediction["cost"] == 4


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_records_survive_pickle_and_copy(copied: object) -> None:
    assert callable(copied)
    prediction = Prediction.from_completions([{"a": [1]}, {"a": [2]}], raw=[{"a": "[ 1 ]"}, {"a": "[2]"}])
    prediction._set_cost(1.5)
    again = copied(prediction)
    assert again == prediction and repr(again) == repr(prediction)
    assert (again.raw("a"), again.cost, again.completions[1].a) == ("[ 1 ]", 1.5, [2])
    example = Example(a=1).with_inputs("a")
    assert copied(example).inputs() == example
