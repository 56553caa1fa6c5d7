"""Benchmarks, side by side with peers in one run. No part of the tests: `python -m tests.benchmarks`.

What runs where:

- `__main__.py` reads the command line and runs the figures one after the other.
- `environment.py` makes the environment with the peers of `requirements.txt`, and starts processes in it.
- `server.py` is the model: a loopback HTTP server in a process of its own, that sends prepared bytes.
- `contenders.py` has one function for each contender: how its users read a stream.
- `child.py` is one contender in a fresh process; `reading.py`, `crowd.py`, `leaving.py`, `lasting.py`,
  `starting.py` and `caching.py` are what it measures of itself there.
- `figures.py` says which contenders are measured how often for each figure.
- `report.py`, `targets.py` and `picture.py` write `results/`.
"""
