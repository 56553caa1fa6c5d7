"""A reader who has had enough: the model stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from lmstream_sync.testing import Gate, Reply
from tests.web.page.test_streaming import ANSWER


def endless(gate: Gate) -> Reply:
    return Reply(pieces=[ANSWER, "one", " two", " three"], pauses={2: gate})


def test_the_stop_button_stops_the_provider(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat(endless(gate))
    page.ask("Count.")
    gate.wait()
    expect(page.answers).to_have_text("one")
    page.button("Stop").click()
    expect(page.page.locator(".note")).to_contain_text("Stopped")
    server.wait_for_reader_left()
    expect(page.answers).to_have_text("one")
    expect(page.box).to_be_focused()
    expect(page.button("Send")).to_be_visible()
    assert page.errors == []


def test_a_model_that_has_said_nothing_yet_is_stopped_too(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat(Reply(pieces=[ANSWER, "one"], pauses={0: gate}))
    page.ask("Count.")
    gate.wait()
    page.box.press("Escape")
    expect(page.page.locator(".note")).to_contain_text("Stopped")
    server.wait_for_reader_left()


def test_a_stopped_question_is_asked_again_by_hand(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat([endless(gate), f"{ANSWER}now it goes through"])
    page.ask("Count.")
    gate.wait()
    expect(page.answers).to_have_text("one")
    page.page.keyboard.press("Escape")
    page.button("Try again").click()
    expect(page.answers).to_have_text(["now it goes through"])
    server.wait_for_reader_left()
    assert [each["question"] for each in page.asked] == ["Count.", "Count."]


def test_closing_the_tab_stops_the_provider(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat(endless(gate))
    page.ask("Count.")
    gate.wait()
    expect(page.answers).to_have_text("one")
    page.page.close()
    server.wait_for_reader_left()


def test_going_elsewhere_stops_the_provider(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat(endless(gate))
    page.ask("Count.")
    gate.wait()
    expect(page.answers).to_have_text("one")
    page.page.goto("about:blank")
    server.wait_for_reader_left()


def test_a_new_chat_stops_the_old_one(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat([endless(gate), f"{ANSWER}fresh"])
    page.ask("Count.")
    gate.wait()
    expect(page.answers).to_have_text("one")
    page.button("New chat").click()
    server.wait_for_reader_left()
    page.ask("Anew.")
    expect(page.answers).to_have_text(["fresh"])
