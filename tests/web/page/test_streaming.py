"""What the page shows of a stream, while it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import expect

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply
from tests.web.page.conftest import Chat

ANSWER = "[[ ## answer ## ]]\n"


def thoughtful() -> Any:
    return lms.streamify(
        lms.ChainOfThought("question -> answer"),
        stream_listeners=[lms.StreamListener("reasoning"), lms.StreamListener("answer")],
    )


def test_the_answer_grows_while_it_is_written(chat: Callable[..., Any]) -> None:
    gates = [Gate(), Gate()]
    page, _ = chat(
        Reply(pieces=[ANSWER, "one", " two", " three"], pauses={2: gates[0], 3: gates[1]}),
    )
    page.ask("Count.")
    gates[0].wait()
    expect(page.answers).to_have_text("one")
    expect(page.button("Stop")).to_be_visible()
    gates[0].release()
    gates[1].wait()
    expect(page.answers).to_have_text("one two")
    gates[1].release()
    expect(page.answers).to_have_text("one two three")
    page.expect_over()
    assert page.errors == []


def test_after_a_clean_end_nothing_is_asked_again(chat: Callable[..., Any]) -> None:
    page, server = chat(f"{ANSWER}So it is.")
    page.ask("Is it so?")
    page.expect_over()
    server.wait_until(lambda counts: counts.open_connections <= 1)
    # A reader that connects again by itself does so 3 s after the end, as Chromium's EventSource would.
    page.page.wait_for_timeout(4000)
    assert server.request_count == 1
    assert page.asked == [{"question": "Is it so?"}]


def test_reasoning_is_folded_away(chat: Callable[..., Any]) -> None:
    gate = Gate()
    page, _ = chat(
        Reply(pieces=["[[ ## reasoning ## ]]\n", "Let me see.", " So", f"\n\n{ANSWER}Yes."], pauses={3: gate}),
        thoughtful(),
    )
    page.ask("Well?")
    gate.wait()
    thoughts = page.page.get_by_text("Let me see. So")
    summary = page.page.locator("summary")
    expect(summary).to_have_text("Thinking…")
    expect(thoughts).to_be_attached()
    expect(thoughts).to_be_hidden()
    summary.click()
    expect(thoughts).to_be_visible()
    gate.release()
    expect(summary).to_have_text("Reasoning")
    expect(page.answers).to_have_text("Yes.")
    expect(thoughts).to_be_visible()
    summary.press("Enter")
    expect(thoughts).to_be_hidden()


def test_an_agents_steps(chat: Callable[..., Any]) -> None:
    gate = Gate()

    def weather(city: str) -> str:
        """The weather of a city."""
        return f"rain in {city}"

    step = "[[ ## next_thought ## ]]\n{}\n\n[[ ## next_tool_name ## ]]\n{}\n\n[[ ## next_tool_args ## ]]\n{}\n"
    page, _ = chat(
        [
            step.format("Look outside.", "weather", '{"city": "Bern"}'),
            Reply(step.format("I know.", "finish", "{}"), pauses={0: gate}),
            f"[[ ## reasoning ## ]]\nIt rains.\n\n{ANSWER}Yes.",
        ],
        lms.streamify(
            lms.ReAct("question -> answer", tools=[weather]),
            stream_listeners=[
                lms.StreamListener("next_thought", allow_reuse=True),
                lms.StreamListener("reasoning"),
                lms.StreamListener("answer"),
            ],
        ),
    )
    page.ask("An umbrella?")
    gate.wait()
    steps = page.page.get_by_role("listitem").filter(visible=True)
    expect(steps).to_have_text(
        ["Calling tool weather...", "Tool calling finished! Querying the LLM with tool calling results..."]
    )
    expect(page.page.locator(".steps .live")).to_have_count(1)
    gate.release()
    expect(page.answers).to_have_text("Yes.")
    expect(page.page.locator(".steps .live")).to_have_count(0)
    page.page.locator("summary").last.click()
    expect(page.page.locator("details").last).to_contain_text("I know.It rains.")


def test_an_answer_that_begins_anew(chat: Callable[..., Any]) -> None:
    """A reply that lacks a field is asked for once more; what had come of it is taken away."""
    gate, then = Gate(), Gate()
    page, _ = chat(
        [
            Reply(pieces=[ANSWER, "A first try", " that fails"], pauses={2: gate}),
            Reply('{"reasoning": "Better.", "answer": "The second."}', pauses={0: then}),
        ],
        thoughtful(),
    )
    page.ask("Try.")
    gate.wait()
    expect(page.answers).to_have_text("A first try")
    gate.release()
    then.wait()
    then.release()
    expect(page.answers).to_have_text(["The second."])
    expect(page.page.locator(".steps")).to_contain_text("Starting over")
    expect(page.page.get_by_text("A first try")).to_have_count(0)


def test_an_answer_that_was_not_streamed(chat: Callable[..., Any]) -> None:
    """From the cache there are no pieces, only the whole."""
    page, server = chat(f"{ANSWER}Forty-two.", cache=True)
    for turn in (1, 2):
        page.ask("Six times seven?")
        expect(page.answers).to_have_text(["Forty-two."] * turn)
        page.expect_over()
    assert server.request_count == 1


def test_what_a_program_says_itself(chat: Callable[..., Any]) -> None:
    def program(question: str) -> Iterator[Any]:
        yield "Reading the manual"
        yield {"internal": "an object is for other readers"}
        yield lms.Prediction(answer={"pages": 3})

    page, _ = chat("", lms.streamify(program))
    page.ask("How long is it?")
    expect(page.page.locator(".steps li")).to_have_text(["Reading the manual"])
    expect(page.answers).to_contain_text('"pages": 3')


def test_several_turns_and_what_came_before(chat: Callable[..., Any]) -> None:
    chatting = lms.streamify(
        lms.Predict("history: lms.History, question -> answer"), stream_listeners=[lms.StreamListener("answer")]
    )
    page, server = chat([f"{ANSWER}Kafka.", f"{ANSWER}In Prague."], chatting, page={"history": "history"})
    page.ask("Who wrote The Trial?")
    page.expect_over()
    page.ask("Where was he born?")
    expect(page.answers).to_have_text(["Kafka.", "In Prague."])
    page.expect_over()
    before = [{"role": "user", "content": "Who wrote The Trial?"}, {"role": "assistant", "content": "Kafka."}]
    assert [each["history"]["messages"] for each in page.asked] == [[], before]
    assert "Kafka." in str(server.requests[1].body["messages"])
    page.button("New chat").click()
    expect(page.answers).to_have_count(0)
    page.ask("And now?")
    page.expect_over()
    assert page.asked[-1] == {"question": "And now?", "history": {"messages": []}}


def test_an_example_is_asked_by_a_click(chat: Callable[..., Any]) -> None:
    page, _ = chat(f"{ANSWER}Sure.", page={"examples": ["A plain one", ("Is 1 < 2?", "with a note")]})
    page.page.get_by_role("button", name="Is 1 < 2?").click()
    expect(page.answers).to_have_text("Sure.")
    assert page.asked == [{"question": "Is 1 < 2?"}]
    expect(page.page.get_by_role("button", name="A plain one")).to_be_hidden()


def test_the_text_scrolls_along_until_the_reader_scrolls_up(chat: Callable[..., Any]) -> None:
    gate, last = Gate(), Gate()
    lines = [f"\n\nline {number}" for number in range(60)]
    page, _ = chat(Reply(pieces=[ANSWER, *lines, *lines, "\n\nthe end"], pauses={61: gate, 121: last}))
    log = page.page.locator("#log")

    def left_below() -> Any:
        return log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight")

    page.ask("Go on.")
    gate.wait()
    expect(page.answers.locator("p")).to_have_count(60)
    expect(page.answers.locator("p").last).to_be_in_viewport()
    log.focus()
    page.page.keyboard.press("Home")
    expect(page.page.get_by_text("line 0", exact=True).first).to_be_in_viewport()
    gate.release()
    last.wait()
    expect(page.answers.locator("p")).to_have_count(120)
    expect(page.page.get_by_text("line 0", exact=True).first).to_be_in_viewport()
    page.button("Jump to the latest").click()
    expect(page.button("Jump to the latest")).to_be_hidden()
    last.release()
    expect(page.answers.get_by_text("the end")).to_be_in_viewport()
    assert left_below() < 40


def test_what_a_screen_reader_hears(chat: Callable[..., Any]) -> None:
    """Whole blocks, each once, in a region of its own; the growing text itself is no live region."""
    gate = Gate()
    page, _ = chat(Reply(pieces=[ANSWER, "One", " block.\n\nAno", "ther."], pauses={3: gate}))
    page.ask("Speak.")
    gate.wait()
    spoken = page.page.locator("[aria-live=polite] p")
    expect(page.answers).to_contain_text("Ano")
    expect(spoken).to_have_text(["One block."])
    expect(page.page.locator(".reply")).to_have_attribute("aria-busy", "true")
    gate.release()
    expect(spoken).to_have_text(["One block.", "Another.", "The answer is complete."])
    expect(page.page.locator(".reply")).to_have_attribute("aria-busy", "false")
    assert page.answers.evaluate("answer => answer.closest('[aria-live]')") is None


def test_two_readers_at_once(chat: Callable[..., Any], open_page: Callable[..., Chat]) -> None:
    gate = Gate()
    page, server = chat({"slow": Reply(pieces=[ANSWER, "slow", "ly"], pauses={2: gate}), "": f"{ANSWER}at once"})
    page.ask("slow")
    gate.wait()
    other = open_page(page.page.url)
    other.ask("quick")
    expect(other.answers).to_have_text("at once")
    expect(page.answers).to_have_text("slow")
    gate.release()
    expect(page.answers).to_have_text("slowly")
    assert server.readers_left == 0
