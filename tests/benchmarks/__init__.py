"""Benchmarks, side by side with peers in one run. No part of the tests: `python -m tests.benchmarks`."""
