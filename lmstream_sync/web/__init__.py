"""Streams behind a URL: the doors to web frameworks, and the formats that front ends read.

`formats/` writes events for a front end (`formats/choosing.py` finds one by its name or by
`Accept`); `response.py` says what to answer, before the first byte and after it, and
`body.py` is what is then sent; `failures.py` turns errors into statuses, `inputs.py` a request
into the inputs of a program (`program_inputs.py`: what it takes; `json_text.py`: strict JSON);
`serving.py` is a program that answers requests. `wsgi.py`, `flask.py` and `django/` are the doors, thin on top of
these; `page/` is a chat page for the browser, `demo.py` serves it with a program behind it.
A door imports its framework, nothing else here does.
"""
