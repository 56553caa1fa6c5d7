"""How the events of a stream are written for the front ends that exist, one file each.

All are pure (`streaming/format.py` says what a format is); the library's own is in
`streaming/sse.py`, and `ndjson.py` writes the same objects a line each. The others know text and not
our events: `by_field.py` sorts events into runs of fields for them, `one_text.py` puts runs in a row
for those with one text only (`text.py`, `openai.py`), `with_data.py` gives the rest of the
events to those with a place for it (`ai_sdk.py`, `ag_ui.py`); `htmx.py` names events for fields.
`choosing.py` finds a format by its name or by what `Accept` says.
"""
