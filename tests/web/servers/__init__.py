"""Streams under real servers, each in a process of its own (`python -m tests.web.servers` writes results.md).

`kinds.py` names the servers and how each is started, `running.py` runs one, `nginx.py` puts nginx
in front; `app.py` (Flask), `starlette_app.py` and `django_app.py` are what they serve, `reader.py` is the
client. The model is a scripted server in the test's process: what became of its connections is
counted there. `report.py` writes the results down.
"""
