"""By keyboard alone, on a phone, in the dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from lmstream_sync.testing import Gate, Reply
from tests.web.page.test_streaming import ANSWER, thoughtful
from tests.web.page.test_text import sideways

PHONE = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def test_by_keyboard_alone(chat: Callable[..., Any]) -> None:
    gate = Gate()
    replies = [
        Reply(pieces=["[[ ## reasoning ## ]]\nHm.\n\n", f"{ANSWER}Yes", " and"], pauses={2: gate}),
        f"[[ ## reasoning ## ]]\nHm.\n\n{ANSWER}No.",
    ]
    page, server = chat(replies, thoughtful())
    keys = page.page.keyboard
    expect(page.box).to_be_focused()
    keys.type("Is it")
    keys.press("Shift+Enter")
    keys.type("so?")
    keys.press("Enter")
    gate.wait()
    assert page.asked == [{"question": "Is it\nso?"}]
    expect(page.answers).to_have_text("Yes")
    keys.press("Enter")  # nothing while an answer comes
    keys.press("Escape")
    server.wait_for_reader_left()
    expect(page.page.locator(".note")).to_be_visible()
    expect(page.box).to_be_focused()
    keys.press("Shift+Tab")
    expect(page.button("Try again")).to_be_focused()
    keys.press("Shift+Tab")
    expect(page.page.locator("summary")).to_be_focused()
    keys.press("Space")
    expect(page.page.locator(".thoughts")).to_be_visible()
    keys.press("Tab")
    keys.press("Enter")
    expect(page.answers).to_have_text("No.")
    expect(page.box).to_be_focused()
    assert len(page.asked) == 2


def test_the_focus_is_seen(chat: Callable[..., Any]) -> None:
    page, _ = chat(f"{ANSWER}Yes.", page={"examples": ["Is it?"]})
    for _ in range(6):
        page.page.keyboard.press("Tab")
        drawn = page.page.evaluate(
            """() => { const at = document.activeElement, style = getComputedStyle(at.id === "question" ? at.form : at);
                       return at === document.body ? "body" : style.outlineStyle + style.boxShadow; }"""
        )
        assert drawn == "body" or "solid" in drawn or "rgb" in drawn, drawn


def test_enter_that_ends_a_composition_does_not_send(chat: Callable[..., Any]) -> None:
    """Input methods, for Japanese say, take a word by Enter."""
    page, server = chat(f"{ANSWER}Yes.")
    page.box.fill("にほん")
    page.box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    page.page.evaluate("0")
    assert page.asked == []
    page.box.press("Enter")
    page.expect_over()
    assert server.request_count == 1


def test_nothing_is_sent_of_nothing(chat: Callable[..., Any]) -> None:
    page, server = chat(f"{ANSWER}Yes.")
    page.ask("  \n ")
    page.button("Send").click(force=True)
    page.page.keyboard.press("Escape")
    page.ask("Well?")
    page.expect_over()
    assert server.request_count == 1


def test_a_double_click_on_send_is_no_stop(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, server = chat(Reply(pieces=[ANSWER, "Yes", " it is."], pauses={2: gate}))
    page.box.fill("Well?")
    page.button("Send").dblclick()
    gate.wait()
    gate.release()
    expect(page.answers).to_have_text("Yes it is.")
    assert (server.request_count, server.readers_left) == (1, 0)


def test_on_a_phone(chat: Callable[..., Any]) -> None:
    table = "| one | two |\n|---|---|\n" + "x" * 300
    code = "```\n" + "y = 1; " * 60 + "\n```"
    page, _ = chat(
        Reply(f"[[ ## reasoning ## ]]\n{'z' * 200}\n\n{ANSWER}{table}\n\n{code}\n\n{'word ' * 200}"),
        thoughtful(),
        window=PHONE,
        page={"title": "A rather long title of a page", "examples": ["How?", ("Why is that so?", "a note")]},
    )
    assert sideways(page) == 0
    expect(page.page.locator(".greeting")).to_be_in_viewport(ratio=1)
    page.page.get_by_role("button", name="How?").tap()
    page.expect_over()
    page.page.locator("summary").tap()
    expect(page.page.locator(".thoughts")).to_be_visible()
    assert sideways(page) == 0
    expect(page.box).to_be_in_viewport(ratio=1)
    expect(page.button("Send")).to_be_in_viewport(ratio=1)
    for name in ("Send", "New chat"):
        size = page.button(name).bounding_box()
        assert size is not None and size["height"] >= 44, name


def test_a_long_question_does_not_fill_the_screen(chat: Callable[..., Any]) -> None:
    page, _ = chat("", window=PHONE)
    page.box.fill("line\n" * 100)
    size = page.box.bounding_box()
    assert size is not None and size["height"] < 0.4 * 568
    expect(page.button("Send")).to_be_in_viewport(ratio=1)


#: The contrast of each text with what lies behind it, as WCAG 2.2 reckons it; the smallest, and where.
CONTRAST = """() => {
    const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = colour => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
                            return [...probe.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const behind = el => {
        for (; el; el = el.parentElement) {
            const colour = rgb(getComputedStyle(el).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    let worst = [99, ""];
    for (const el of document.querySelectorAll("body *")) {
        if (!el.checkVisibility() || !getComputedStyle(el).color) continue;
        const text = [...el.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if (!text && el.id !== "question" && el.id !== "send") continue;
        const [a, b] = [light(rgb(getComputedStyle(el).color)), light(behind(el))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < worst[0]) worst = [ratio, el.outerHTML.slice(0, 80)];
    }
    return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(chat: Callable[..., Any], scheme: str) -> None:
    replies = [f"[[ ## reasoning ## ]]\nHm.\n\n{ANSWER}**Yes**, `so`.\n\n- it\n\n```py\nis\n```", Reply(status=400)]
    page, _ = chat(replies, thoughtful(), window={"color_scheme": scheme}, page={"examples": [("Is it?", "a note")]})
    for turn in range(3):
        worst, where = page.page.evaluate(CONTRAST)
        assert worst >= 4.5, where
        if turn < 2:
            page.ask("Well?")
            page.expect_over()
            page.page.locator("summary").first.click()
    background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", background)[0]) < 128) == (scheme == "dark")
