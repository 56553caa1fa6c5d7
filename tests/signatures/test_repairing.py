"""Text that is nearly JSON, and what is made of it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from lmstream_sync.signatures.repairing import repaired


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1', {"a": 1}),
        ('{"a": "b" "c": [1, 2}', {"a": "b", "c": [1, 2]}),
        ("{a: 1, // so\n b: True}", {"a": 1, "b": True}),
        ("{'a': 'it\\'s', 'b': (1, None)} indeed", {"a": "it's", "b": [1, None]}),
        ("""{'a': 'say {"b": 1, "x": {"b": 2}}', 'b': [3]}.""", {"a": 'say {"b": 1, "x": {"b": 2}}', "b": [3]}),
        ("no", ""),
        ("", ""),
    ],
)
def test_what_was_meant(text: str, expected: Any) -> None:
    assert repaired(text) == expected


def test_no_warning_for_escapes_that_Python_has_not() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert repaired(r"{'a': 'x\(y'}") == {"a": r"x\(y"}
        repaired(r"{'a': b'x\u'}")
        assert repaired(r"{'b': 'x\\(y'}") == {"b": r"x\(y"}
        assert repaired(r"{'a': 'x\\(y'}") == {"a": r"x\(y"}
    assert not warned


@pytest.mark.parametrize(
    "text", ['{"' * 10_000, '{"a": "x" ' + "“:" * 10_000, "{ " * 10_000, "[" * 100_000, "{'a':" * 50_000]
)
def test_degenerate_text_ends(text: str) -> None:
    """json-repair takes time in the square of some texts; it is stopped then."""
    repaired(text)


def test_whatever_json_repair_stumbles_over_is_no_error() -> None:
    assert repaired('{"```json1```') == ""
