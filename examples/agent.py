"""An agent with tools: its thoughts, what it does meanwhile, its reasoning and its answer, in one `for` loop."""

import lmstream_sync as lms
from model import model

TIMETABLE = {("Bern", "Wien"): ["07:02", "09:32"], ("Wien", "Budapest"): ["11:40", "13:40"]}


def trains(start: str, to: str) -> list[str]:
    """When trains leave.

    Args:
        start: the city to leave from
        to: the city to reach
    """
    return TIMETABLE[start, to]


async def delay(time: str) -> int:
    """How many minutes late the train of that time is today."""
    return 7 if time.startswith("09") else 0


SCRIPT = [
    {
        "next_thought": "I need the timetable first.",
        "next_tool_name": "trains",
        "next_tool_args": '{"start": "Bern", "to": "Wien"}',
    },
    {
        "next_thought": "The second one fits. Is it on time?",
        "next_tool_name": "delay",
        "next_tool_args": '{"time": "09:32"}',
    },
    {"next_thought": "That is all I need.", "next_tool_name": "finish", "next_tool_args": "{}"},
    {"reasoning": "The 07:02 is gone, the 09:32 is 7 minutes late.", "answer": "Take the 09:32; it leaves at 09:39."},
]

with model(*SCRIPT) as lm, lms.context(lm=lm):
    ask = lms.streamify(
        lms.ReAct("question -> answer", tools=[trains, delay], max_iters=5),
        stream_listeners=[
            lms.StreamListener("next_thought", allow_reuse=True),  # one in each turn
            lms.StreamListener("reasoning"),
            lms.StreamListener("answer"),
        ],
    )
    field = ""
    for event in ask(question="It is 9 o'clock in Bern. Which train takes me to Wien?"):
        if isinstance(event, lms.StatusMessage):
            print(f"  [{event.kind} {event.name}: {event.inputs or event.outputs}]")
        elif isinstance(event, lms.StreamResponse):
            if event.signature_field_name != field:
                field = event.signature_field_name
                print(f"{field}: ", end="")
            print(event.chunk, end="\n" if event.is_last_chunk else "", flush=True)
            field = "" if event.is_last_chunk else field
        elif isinstance(event, lms.Prediction):
            print(f"({sum(key.startswith('observation') for key in event.trajectory)} observations)")
