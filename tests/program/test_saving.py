"""Saving and loading: everything that was learned comes back, no secret goes out, and a misfit changes nothing."""

from __future__ import annotations

import datetime
import enum
import json
import os
from pathlib import Path
from typing import Any, Literal, Optional

import pydantic
import pytest

import lmstream_sync as lms

from .conftest import reply

SECRETS = [
    "sk-option-1234",
    "bearer-header-1234",
    "url-password-1234",
    "query-key-1234",
    "deep-key-1234",
    "env-key-1234",
]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(pydantic.BaseModel):
    name: str
    since: datetime.date


class Typed(lms.Signature):
    """Say what there is."""

    text: str = lms.InputField(desc="to be read")
    places: list[Place] = lms.InputField()
    day: datetime.date = lms.OutputField()
    colour: Colour = lms.OutputField()
    either: int | str = lms.OutputField()
    perhaps: Optional[float] = lms.OutputField()  # noqa: UP045
    kind: Literal["a", "b"] = lms.OutputField()
    tags: set[str] = lms.OutputField()


DEMO = {
    "text": 'quotes " and \n lines \u2028 and half a pair \ud83d',
    "places": [Place(name="Bern", since=datetime.date(1191, 1, 1))],
    "day": datetime.date(2024, 2, 29),
    "colour": Colour.BLUE,
    "either": 5,
    "perhaps": None,
    "kind": "b",
    "tags": {"x", "y"},
}


class Brief(lms.Module):
    def __init__(self) -> None:
        self.outline = lms.ChainOfThought("topic -> outline")
        self.steps = [lms.Predict("outline -> text"), lms.Predict("text -> title")]

    def forward(self, topic: str) -> Any:
        return self.outline(topic=topic)


def learned() -> Brief:
    """A program that learned something in each of its predictors."""
    program = Brief()
    for number, (_, predictor) in enumerate(program.named_predictors()):
        predictor.signature = predictor.signature.with_instructions(f"Instruction {number}.")
        predictor.demos = [lms.Example(topic=f"demo {number}").with_inputs("topic"), {"outline": "a dict"}]
    first = program.outline.predict
    first.signature = first.signature.with_updated_fields("outline", desc="five lines", prefix="Outline:")
    return program


def learned_state(program: Any) -> list[Any]:
    return [
        (
            name,
            each.signature.instructions,
            {n: (f.desc, f.extra) for n, f in each.signature.fields.items()},
            each.demos,
        )
        for name, each in program.named_predictors()
    ]


# There and back.


def test_demos_instructions_and_descriptions_come_back(tmp_path: Path) -> None:
    program, path = learned(), tmp_path / "brief.json"
    program.save(path)
    loaded = Brief()
    loaded.load(path)
    before, after = learned_state(program), learned_state(loaded)
    assert [each[:3] for each in after] == [each[:3] for each in before]
    for (*_, given), (*_, read) in zip(before, after, strict=True):
        assert [dict(each.items()) for each in read] == [dict(each.items()) for each in given]
        assert read[0].inputs() == given[0].inputs()
    assert loaded.outline.predict.signature.fields["outline"].desc == "five lines"
    assert loaded.dump_state() == program.dump_state()


def test_typed_values_of_demos_come_back_with_their_types(tmp_path: Path) -> None:
    program, path = lms.Predict(Typed), tmp_path / "typed.json"
    program.demos = [lms.Example(DEMO).with_inputs("text", "places"), dict(DEMO, either="five", perhaps=0.5)]
    program.save(path)
    json.loads(path.read_bytes())
    loaded = lms.Predict(Typed)
    loaded.load(path)
    assert loaded.demos[0] == program.demos[0] and loaded.demos[0].inputs() == program.demos[0].inputs()
    assert dict(loaded.demos[1].items()) == program.demos[1]
    assert type(loaded.demos[0].places[0]) is Place and loaded.signature is Typed


def test_a_value_that_never_was_of_its_fields_type_stays_as_it_is() -> None:
    program = lms.Predict(Typed)
    program.demos = [{"day": "some day", "augmented": True, "tags": 7}]
    loaded = lms.Predict(Typed)
    loaded.load_state(json.loads(json.dumps(program.dump_state())))
    assert dict(loaded.demos[0].items()) == {"day": "some day", "augmented": True, "tags": 7}


def test_a_loaded_program_asks_with_what_it_learned(serve: Any, tmp_path: Path) -> None:
    server = serve(reply(answer="yes"))
    program = lms.Predict("q -> answer")
    program.signature = program.signature.with_instructions("Answer like a pirate.")
    program.demos = [{"q": "ahoy?", "answer": "arr"}]
    program.save(tmp_path / "p.json")
    loaded = lms.Predict("q -> answer")
    loaded.load(tmp_path / "p.json")
    loaded(q="?")
    sent = json.dumps(server.requests[0].body)
    assert "Answer like a pirate." in sent and "ahoy?" in sent and "arr" in sent


def test_the_file_says_who_wrote_it(tmp_path: Path) -> None:
    learned().save(tmp_path / "p.json")
    metadata = json.loads((tmp_path / "p.json").read_text())["metadata"]
    assert metadata["format"] == 1
    assert set(metadata["dependency_versions"]) == {"python", "lmstream_sync"}


def test_a_bare_predictors_state_is_its_own_and_a_programs_is_by_path() -> None:
    assert set(lms.Predict("a -> b").dump_state()) == {"demos", "demo_inputs", "signature", "lm"}
    assert list(Brief().dump_state()) == ["outline.predict", "steps[0]", "steps[1]"]


# The LM.


def lm_with_secrets() -> lms.LM:
    return lms.LM(
        "openai/some-model",
        api_key="sk-option-1234",
        api_base="http://user:url-password-1234@127.0.0.1:9/v1?key=query-key-1234&version=2",
        temperature=0.5,
        max_tokens=100,
        cache=False,
        num_retries=1,
        timeout=lms.Timeout(first=5, total=None),
        top_p=0.9,
        extra_headers={"Authorization": "Bearer bearer-header-1234", "X-Trace": "on"},
        extra_body={"nested": [{"api_key": "deep-key-1234", "keep": 1}], "note": "holds env-key-1234"},
    )


def test_no_secret_is_in_the_file_at_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "env-key-1234")
    program = lms.Predict("q -> answer")
    program.set_lm(lm_with_secrets())
    program.save(tmp_path / "p.json")
    written = (tmp_path / "p.json").read_text()
    assert [secret for secret in SECRETS if secret in written] == []
    assert json.loads(written)["lm"] == {
        "model": "openai/some-model",
        "cache": False,
        "cache_in_memory": True,
        "num_retries": 1,
        "engine": "auto",
        "timeout": {"first": 5.0, "total": None},
        "api_base": "http://127.0.0.1:9/v1?version=2",
        "temperature": 0.5,
        "max_tokens": 100,
        "top_p": 0.9,
        "extra_headers": {"X-Trace": "on"},
        "extra_body": {"nested": [{"keep": 1}]},
    }


def test_the_settings_of_an_lm_come_back_with_the_key_of_the_environment(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(reply(answer="yes"))
    monkeypatch.setenv("OPENAI_API_KEY", "env-key-1234")
    program = lms.Predict("q -> answer")
    program.set_lm(server.lm(temperature=0.25, timeout=7))
    program.save(tmp_path / "p.json")
    loaded = lms.Predict("q -> answer")
    with lms.context(lm=None):
        loaded.load(tmp_path / "p.json", allow_unsafe_lm_state=True)
        assert loaded(q="?").answer == "yes"
    (request,) = server.requests
    assert request.body["temperature"] == 0.25 and request.headers["authorization"] == "Bearer env-key-1234"
    assert loaded.lm is not None and loaded.lm.timeout == lms.Timeout(total=7) and loaded.lm.cache is False


@pytest.mark.parametrize(
    "endpoint", [{"api_base": "http://evil/v1"}, {"extra_body": {"a": ["https://evil"]}}, {"model_list": []}]
)
def test_a_file_may_not_say_where_the_key_goes_unless_it_is_trusted(endpoint: dict[str, Any]) -> None:
    state = lms.Predict("q -> answer").dump_state()
    state["lm"] = {"model": "openai/x", **endpoint}
    loaded = lms.Predict("q -> answer")
    with pytest.raises(lms.ConfigurationError, match=f"{next(iter(endpoint))}.*allow_unsafe_lm_state=True"):
        loaded.load_state(state)
    assert loaded.lm is None
    loaded.load_state(state, allow_unsafe_lm_state=True)
    assert loaded.lm is not None and loaded.lm.model == "openai/x"


def test_no_lm_stays_no_lm() -> None:
    loaded = lms.Predict("q -> answer")
    loaded.lm = lms.LM("openai/other")
    loaded.load_state(lms.Predict("q -> answer").dump_state())
    assert loaded.lm is None


def test_an_lm_that_cannot_be_written_is_named() -> None:
    class Mine(lms.LM):
        pass

    program = Brief()
    program.steps[1].lm = Mine("openai/x")
    with pytest.raises(lms.ConfigurationError, match=r"steps\[1\]: a Mine cannot be saved"):
        program.dump_state()
    program.steps[1].lm = lms.LM("openai/x", response_format=Place)
    with pytest.raises(lms.ConfigurationError, match="response_format="):
        program.dump_state()


# What does not fit.


def misfits() -> list[tuple[str, Any]]:
    good = learned().dump_state()

    def changed(**changes: Any) -> dict[str, Any]:
        return {**good, **changes}

    one, last = good["steps[0]"], good["steps[1]"]
    negative = {**last, "lm": {"model": "x", "num_retries": -1}}
    other_fields = r"steps\[0\].*saved for 'outline, more -> text', this one is 'outline -> text'"
    other = lms.Predict("outline, more -> text").dump_state()
    swapped = lms.Predict("text -> outline").dump_state()
    return [
        (r"nothing for steps\[1\]", {name: each for name, each in good.items() if name != "steps[1]"}),
        ("something for extra, which this program has not", changed(extra=one)),
        ("nothing for outline.predict.*something for demos", lms.Predict("a -> b").dump_state()),
        (
            other_fields,
            changed(**{"steps[0]": other}),
        ),
        (r"steps\[0\].*saved for 'text -> outline'", changed(**{"steps[0]": swapped})),
        (r"steps\[1\].*no predictor's state", changed(**{"steps[1]": 5})),
        (r"steps\[1\].*no signature", changed(**{"steps[1]": {"demos": []}})),
        (r"steps\[1\].*no list of records", changed(**{"steps[1]": {**last, "demos": ["x"]}})),
        (r"steps\[1\].*has no model", changed(**{"steps[1]": {**last, "lm": {}}})),
        (
            r"steps\[1\].*num_retries",
            changed(**{"steps[1]": negative}),
        ),
        (r"steps\[1\].*no instructions", changed(**{"steps[1]": {**one, "signature": {"fields": []}}})),
        ("is a dict, not a list", [1]),
    ]


@pytest.mark.parametrize(("says", "state"), misfits(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_state_that_does_not_fit_is_named_and_changes_nothing(says: str, state: Any) -> None:
    program = learned()
    program.steps[0].demos = [{"text": "mine"}]
    before = [(each.signature, each.demos, each.lm) for each in program.predictors()]
    with pytest.raises(lms.ConfigurationError, match=says):
        program.load_state(state)
    assert [(each.signature, each.demos, each.lm) for each in program.predictors()] == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not json", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1, 2]", "no saved program"),
        (b"{}", "no saved program"),
        (b'{"metadata": {"format": "one"}}', "its format is 'one'"),
        (
            b'{"metadata": {"format": 2, "dependency_versions": {"lmstream_sync": "9.9"}}}',
            "format 2, written by lmstream_sync 9.9; this version reads up to 1",
        ),
        (b'{"metadata": {"format": 1}, "other": {}}', "p.json.*nothing for outline.predict.*something for other"),
    ],
)
def test_a_file_that_holds_no_state_for_this_program_says_so(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(lms.ConfigurationError, match=says):
        Brief().load(path)


def test_only_json_is_written_and_read(tmp_path: Path) -> None:
    program = lms.Predict("a -> b")
    for use in (program.save, program.load):
        with pytest.raises(lms.ConfigurationError, match=r"ends in \.json"):
            use(tmp_path / "p.pkl")
    with pytest.raises(lms.ConfigurationError, match="save_program=True is not supported"):
        program.save(tmp_path / "directory", save_program=True)
    with pytest.raises(FileNotFoundError):
        program.load(tmp_path / "nowhere.json")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_the_file_needs_itself_is_refused(tmp_path: Path) -> None:
    class Program(lms.Module):
        def __init__(self) -> None:
            self.metadata = lms.Predict("a -> b")
            self.other = lms.Predict("a -> b")

    with pytest.raises(lms.ConfigurationError, match="rename that attribute"):
        Program().save(tmp_path / "p.json")


# On disk.


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.json"
    learned().save(path)
    before = path.read_bytes()

    def full(*args: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        Brief().save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_in_one_step_and_never_written_over(tmp_path: Path) -> None:
    path, program = tmp_path / "p.json", lms.Predict("a -> b")
    program.save(path)
    before = path.read_bytes()
    with open(path, "rb") as opened_before:
        program.demos = [{"a": "x" * 1000, "b": "y"}] * 100
        program.save(path)
        assert opened_before.read() == before
    assert len(path.read_bytes()) > len(before) and list(tmp_path.iterdir()) == [path]


# DSPy's files.


def test_a_file_that_dspy_wrote_loads(tmp_path: Path) -> None:
    """The shape is that of DSPy 3.4.1's `save` for `dspy.ChainOfThought("q -> answer")` in an attribute."""
    fields = [
        {"prefix": "Q:", "description": "what is asked"},
        {"prefix": "Reasoning:", "description": "${reasoning}"},
        {"prefix": "Answer:", "description": "in a word"},
    ]
    state = {
        "ask.predict": {
            "traces": [],
            "train": [],
            "demos": [{"augmented": True, "q": "1+1?", "reasoning": "add", "answer": "2"}],
            "signature": {"instructions": "Be brief.", "fields": fields},
            "lm": {
                "_dspy_lm_class": "dspy.clients.lm.LM",
                "model": "openai/gpt-4o-mini",
                "model_type": "chat",
                "cache": True,
                "num_retries": 3,
                "temperature": 0.5,
                "max_tokens": None,
                "finetuning_model": None,
                "launch_kwargs": {},
                "train_kwargs": {},
            },
        },
        "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.4.1", "cloudpickle": "3.1"}},
    }
    path = tmp_path / "dspy.json"
    path.write_text(json.dumps(state))

    class Program(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.ChainOfThought("q -> answer")

    program = Program()
    own = program.ask.predict.signature.fields["reasoning"].desc
    program.load(path)
    asks = program.ask.predict
    assert asks.signature.instructions == "Be brief."
    assert [field.desc for field in asks.signature.fields.values()] == ["what is asked", own, "in a word"]
    assert asks.demos[0].answer == "2"
    assert asks.lm is not None and (asks.lm.model, asks.lm.kwargs) == ("openai/gpt-4o-mini", {"temperature": 0.5})
    state["ask.predict"]["signature"]["fields"] = fields[:2]  # type: ignore[index]
    path.write_text(json.dumps(state))
    with pytest.raises(lms.ConfigurationError, match="2 fields"):
        program.load(path)
