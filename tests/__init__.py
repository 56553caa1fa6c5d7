"""The tests: a list of promises, grouped as the package is. `python -m tests` runs them all."""
