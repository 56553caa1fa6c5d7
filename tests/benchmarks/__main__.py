"""Measure µs a chunk beside plain litellm and DSPy, and the threads of 100 open streams.

    python -m tests.benchmarks [--chunks 2000] [--rounds 5]

The peers are installed in an environment of their own, `tests/benchmarks/.env`, at the
versions named below. Each contender runs in a fresh process against a server in another,
rounds interleaved; what is printed are medians, and ratios to plain litellm in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = ["dspy==3.4.1"]
CONTENDERS = ["litellm", "dspy", "dspy_listener", "ours_raw", "ours_listener", "ours_async"]


def environment() -> Path:
    """The Python of the environment that has the peers and this library; made where it is missing."""
    python = HERE / ".env" / "bin" / "python"
    if not python.exists():
        venv.create(HERE / ".env", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS, "-e", str(ROOT)], check=True)
    return python


def serve(python: Path, chunks: int, delay: float) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its URL."""
    server = subprocess.Popen(
        [python, HERE / "server.py", str(chunks), str(delay)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert server.stdout is not None
    return server, server.stdout.readline().strip()


def run(python: Path, contender: str, url: str, *more: str) -> dict[str, Any]:
    """One contender in a fresh process: what it measured of itself."""
    done = subprocess.run(
        [python, HERE / "contenders.py", contender, url, *more], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    python = environment()
    server, url = serve(python, options.chunks, 0)
    results: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    events: dict[str, int] = {}
    try:
        for _ in range(options.rounds):
            for contender in CONTENDERS:
                measured = run(python, contender, url, str(options.chunks))
                results[contender].append(measured["us_per_chunk"])
                events[contender] = measured["events"]
    finally:
        server.kill()
    floor = statistics.median(results["litellm"])
    print(f"\n{options.chunks} chunks without delay, {options.rounds} rounds, Python {sys.version.split()[0]}")
    print("\n| contender | µs a chunk (median) | min – max | × litellm | events read |\n|---|---|---|---|---|")
    for contender, figures in results.items():
        middle = statistics.median(figures)
        figured = f"{middle:.0f} | {min(figures):.0f} – {max(figures):.0f} | {middle / floor:.2f}"
        print(f"| {contender} | {figured} | {events[contender]} |")
    server, url = serve(python, 50, 0.02)
    try:
        threads = run(python, "threads", url)
    finally:
        server.kill()
    print(f"\n100 streams open at once: {threads['threads']} threads ({threads['names']})")


if __name__ == "__main__":
    main()
