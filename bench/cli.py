"""The command line: pick suites, run them, print and write what they found."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from .machine import OtherLoad, machine_facts
from .records import Options, Report
from .report import format_table, markdown, requirement_table, write
from .suites import DEFAULT, SUITES, load

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Run suites; 0 unless a suite failed. A missed requirement is reported, not an error: machines differ."""
    args = _parser().parse_args(argv)
    options = Options(args.quick, args.threads, args.data)
    directory = args.out or (None if args.quick else RESULTS)
    names = args.suite or [*DEFAULT, *(["matrices"] if args.data else [])]
    with tempfile.TemporaryDirectory(prefix="pith-bench-") as cache:
        os.environ.setdefault("PITH_CACHE_DIR", cache)
        reports = [_run(name, options, directory) for name in names]
    requirements = [r for report in reports if report for r in report.requirements]
    if requirements:
        print(format_table(requirement_table(requirements)))
    return 0 if all(reports) else 1


def _run(name: str, options: Options, directory: pathlib.Path | None) -> Report | None:
    """Run one suite and publish its report; None when it failed."""
    facts, others = machine_facts(), OtherLoad()
    try:
        report = load(name)(options, _progress)
    except Exception as error:  # one suite's failure must not cost the others' results
        _progress("")
        print(f"bench {name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    facts["busy_with_others"] = others.cores()
    _progress("")
    print(markdown(report, facts, options))
    if directory is not None:
        print(f"written: {write(report, facts, options, directory)} and .json\n")
    return report


def _progress(text: str) -> None:
    """Show what is running, on a terminal; an empty text clears the line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    suites = ", ".join(SUITES)
    parser = argparse.ArgumentParser(prog="python -m bench", description=f"Measure pith. Suites: {suites}.")
    parser.add_argument("suite", nargs="*", type=_suite, help="what to run (default: all that need no data)")
    parser.add_argument("--quick", action="store_true", help="under a minute; prints, writes only with --out")
    parser.add_argument(
        "--threads", type=_threads, default=_threads(f"1,{len(os.sched_getaffinity(0))}"), metavar="N,.."
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help=f"where results go (default: {RESULTS.name}/)")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR", help=".mtx files for the suite 'matrices'")
    return parser


def _suite(text: str) -> str:
    if text not in SUITES:
        raise argparse.ArgumentTypeError(f"no suite {text!r}; one of {', '.join(SUITES)}")
    return text


def _threads(text: str) -> tuple[int, ...]:
    """``1,2`` as numbers, ascending, each once."""
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"expects positive numbers, separated by commas, got {text!r}")
    return tuple(numbers)
