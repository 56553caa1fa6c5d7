"""What follows from a signature is worked out once."""

from __future__ import annotations

import gc
import weakref

import lmstream_sync as lms
from lmstream_sync.signatures import SignatureMeta
from lmstream_sync.signatures.remembered import remembered


class _Counted:
    def __init__(self) -> None:
        self.worked = 0

    def __call__(self, signature: SignatureMeta) -> list[str]:
        self.worked += 1
        return list(signature.output_fields)


def test_once_for_each_signature() -> None:
    counted = _Counted()
    outputs = remembered(counted.__call__)
    one, two = lms.Signature("a -> b"), lms.Signature("a -> c, d")
    assert [outputs(each) for each in (one, two, one, two)] == [["b"], ["c", "d"], ["b"], ["c", "d"]]
    assert counted.worked == 2


def test_a_signature_derived_from_another_has_its_own() -> None:
    outputs = remembered(_Counted().__call__)

    class One(lms.Signature):
        a: str = lms.InputField()
        b: str = lms.OutputField()

    assert outputs(One) == ["b"]

    class Two(One):
        c: str = lms.OutputField()

    assert outputs(Two) == ["b", "c"]
    assert outputs(One.append("d", lms.OutputField())) == ["b", "d"]


def test_it_is_forgotten_with_its_signature() -> None:
    outputs = remembered(_Counted().__call__)
    signature = lms.Signature("a -> b")
    outputs(signature)
    alive = weakref.ref(signature)
    del signature
    gc.collect()
    assert alive() is None


def test_the_dicts_that_are_given_are_ones_own() -> None:
    signature = lms.Signature("a -> b")
    signature.output_fields.clear()
    signature.input_fields.clear()
    signature.fields.clear()
    assert list(signature.fields) == ["a", "b"]


class _Later(lms.Signature):
    a: str = lms.InputField()
    b: list[_Defined] = lms.OutputField()  # noqa: F821  defined below


def test_what_was_worked_out_before_a_name_existed_is_worked_out_anew() -> None:
    seen: list[object] = []
    kinds = remembered(lambda signature: [field.annotation for field in signature._fields.values()])
    seen.append(kinds(_Later))
    globals()["_Defined"] = int
    assert _Later.output_fields["b"].annotation == list[int]
    assert kinds(_Later) == [str, list[int]]
