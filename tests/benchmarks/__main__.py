"""Measure this library and its peers side by side, in one run on one machine.

    python -m tests.benchmarks [--rounds 3] [--only read,crowd] [--quick] [--long]

It makes an environment of its own, `tests/benchmarks/.env`, and installs the peers there, at the
versions of `requirements.txt`, from PyPI. A whole run takes about a quarter of an hour, in which the
machine should do nothing else, and writes `table.md`, `results.json` and `picture.svg` in
`tests/benchmarks/results` anew; a quick or partial one is printed only.

The figures: `read` (µs a chunk, first text), `start` (import, cold start), `crowd` (100, 300 and 1,000
streams at once), `leave` (`break`, seen at the server), `last` (memory and descriptors after many
streams), `cache` (a call that the cache answers).
"""

from __future__ import annotations

import argparse
import datetime
import json
import time

from tests.benchmarks import environment
from tests.benchmarks.figures import FIGURES, MORE, Results, measure, plans
from tests.benchmarks.picture import picture
from tests.benchmarks.report import report


def main() -> None:
    """Measure and report."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is measured (default: 3)")
    parser.add_argument("--only", default="", help=f"figures, with commas: {','.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="one round, fewer contenders: under three minutes")
    parser.add_argument(
        "--long", action="store_true", help="memory after 10,000 streams of all contenders: ten minutes more"
    )
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    if unknown := only - set(FIGURES):
        parser.error(f"no such figures: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    environment.make()
    results, began, before = Results(), time.monotonic(), environment.machine()
    with environment.served() as url:
        for plan in plans(options.rounds, options.quick, options.long):
            if not only or plan.key.split("_")[0] in only:
                measure(plan, url, results)
    facts = {
        "machine": before | {"load_after": environment.machine()["load"]},
        "versions": environment.versions(),
        "date": datetime.date.today().isoformat(),
        "rounds": 1 if options.quick else options.rounds,
        "more_rounds": 1 if options.quick else options.rounds + MORE,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    table = report(results, facts)
    print(f"\n{table}")
    if only or options.quick:
        return
    folder = environment.HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "picture.svg").write_text(picture(results), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(facts | {"figures": results.plain()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
