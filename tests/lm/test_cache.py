"""The cache of replies in memory."""

from __future__ import annotations

import threading
from functools import partial
from types import MappingProxyType

import pytest
from pydantic import BaseModel

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.lm import LMRequestLRUCache
from lmstream_sync.lm.cache import cache_key
from lmstream_sync.lm.engine import Choice, Reply


def reply(text: str) -> Reply:
    return Reply(choices=[Choice(text=text)], usage={"prompt_tokens": 1})


def test_nobody_can_change_what_another_gets() -> None:
    cache = LMRequestLRUCache()
    kept = reply("a")
    cache.put("k", kept)
    kept.choices[0].text = "changed after"
    first = cache.get("k")
    assert first is not None and first.choices[0].text == "a"
    first.choices[0].text = "changed by a reader"
    second = cache.get("k")
    assert second is not None and second.choices[0].text == "a"


class OwnReply(Reply):
    """Of an engine of the user's."""


def _looked_up(dollars: float) -> float:
    return dollars


def test_all_of_a_reply_is_kept_whatever_kind_it_is() -> None:
    cache = LMRequestLRUCache()
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    choices = [Choice("one", "because", "stop", [call], None, 0, {"citations": [1]}), Choice("two", index=1)]
    for kind in (Reply, OwnReply):
        for price in (None, 0.25):
            reply = kind(choices, {"total_tokens": 3}, price, "openai/m", False)
            cache.put("k", reply)
            kept = cache.get("k")
            assert kept == reply and type(kept) is kind and kept.choices[0] is not choices[0]
    cache.put("k", Reply(choices, price=partial(_looked_up, 0.5)))
    kept = cache.get("k")
    assert kept is not None and callable(kept.price) and kept.cost == 0.5


def test_a_plain_reply_is_kept_as_it_is_and_nobody_can_change_it() -> None:
    cache = LMRequestLRUCache()
    given = Reply(
        [Choice("one", "because", "stop", refusal="no"), Choice("two", index=1)], {"total_tokens": 3}, 0.25, "m"
    )
    cache.put("k", given)
    first = cache.get("k")
    assert first == given and first is not None
    first.usage["total_tokens"] = 4
    first.choices[0].tool_calls.append({"id": "1"})
    first.choices[1].provider_fields["citations"] = []
    given.usage.clear()
    second = cache.get("k")
    assert second is not None and second.usage == {"total_tokens": 3}
    assert second.choices[0].tool_calls == [] and second.choices[1].provider_fields == {}


def test_a_usage_with_parts_of_its_own_is_copied_too() -> None:
    cache = LMRequestLRUCache()
    cache.put("k", Reply([Choice("one")], {"details": {"audio": 1}}))
    first = cache.get("k")
    assert first is not None
    first.usage["details"]["audio"] = 2
    second = cache.get("k")
    assert second is not None and second.usage == {"details": {"audio": 1}}


def test_the_least_recently_used_leaves_first() -> None:
    cache = LMRequestLRUCache(maxsize=2)
    cache.put("a", reply("a"))
    cache.put("b", reply("b"))
    cache.get("a")
    cache.put("c", reply("c"))
    assert ["a" in cache, "b" in cache, "c" in cache, len(cache)] == [True, False, True, 2]


def test_bytes_are_bounded_too() -> None:
    cache = LMRequestLRUCache(maxsize=100, max_bytes=5_000)
    for number in range(20):
        cache.put(str(number), reply("x" * 1_000))
    assert 0 < len(cache) <= 5
    cache.put("huge", reply("x" * 10_000))
    assert "huge" not in cache and len(cache) > 0
    cache.clear()
    assert len(cache) == 0


@pytest.mark.parametrize("limits", [{"maxsize": 0}, {"max_bytes": -1}, {"maxsize": 1.5}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        LMRequestLRUCache(**limits)


def test_many_threads_at_once() -> None:
    cache = LMRequestLRUCache(maxsize=8)
    barrier = threading.Barrier(8)
    wrong: list[str] = []

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(300):
            key = str((number + turn) % 16)
            cache.put(key, reply(key))
            found = cache.get(key)
            if found is not None and found.choices[0].text != key:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(cache) <= 8


class SafeText(str):
    """As frameworks have for text that needs no escaping."""


def test_what_is_the_same_has_the_same_key_in_whatever_form() -> None:
    plain = cache_key("m", [{"role": "user", "content": "hi"}], {"stop": ["a", "b"], "top_p": 0.5}, None)
    asked = [MappingProxyType({"content": SafeText("hi"), "role": "user"})]
    assert cache_key("m", asked, {"top_p": 0.5, "stop": ("a", "b")}, None) == plain
    one, other = (cache_key("m", [], {"tags": tags}, None) for tags in ({"x", "y", "z"}, {"z", "y", "x"}))
    assert one == other
    # What msgspec does not take is written by `json`: half of a surrogate pair, a number of more than 64 bits.
    large = [cache_key("m", [], {"seed": number}, None) for number in (2**70, 2**70 + 1, 2**70)]
    assert large[0] == large[2] != large[1]


def test_the_key_tells_apart_what_may_change_the_reply() -> None:
    class Shape(BaseModel):
        a: int

    asked = [{"role": "user", "content": "\ud83d q"}]
    keys = [
        cache_key("m", asked, {}, None),
        cache_key("n", asked, {}, None),
        cache_key("m", [*asked, *asked], {}, None),
        cache_key("m", asked, {"temperature": 0.5}, None),
        cache_key("m", asked, {"response_format": Shape}, None),
        cache_key("m", asked, {}, 1),
        cache_key("m", asked, {}, 2),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key("m", asked, {"b": 1, "a": {"d": 2, "c": 1}}, 1) == cache_key(
        "m", asked, {"a": {"c": 1, "d": 2}, "b": 1}, 1
    )
