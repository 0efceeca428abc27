"""The command line: pick suites, run them, print and write what they found."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

from pith.lowering.isa import host_isa

from .cores import Cores
from .machine import OtherLoad, machine_facts
from .records import Options, Report
from .report import format_table, markdown, requirement_table, write
from .suites import DEFAULT, SUITES

RESULTS = pathlib.Path(__file__).resolve().parent / "results"

#: Seconds between lines about progress where they cannot be written over one another.
QUIET_SECONDS = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run suites; 0 unless a suite failed. A missed requirement is reported, not an error: machines differ."""
    args = _parser().parse_args(argv)
    options = Options(args.quick, args.threads, args.data)
    directory = args.out or (None if args.quick else RESULTS / host_isa().name)
    names = [name for name in dict.fromkeys(args.suite) if name != "all"]
    if "all" in args.suite or not names:
        names = [*DEFAULT, *(["matrices"] if args.data else [])]
    with tempfile.TemporaryDirectory(prefix="pith-bench-") as cache:
        os.environ.setdefault("PITH_CACHE_DIR", cache)
        reports = [_run(name, options, directory) for name in names]
    requirements = [r for report in reports if report for r in report.requirements]
    if requirements:
        print(format_table(requirement_table(requirements)))
    return 0 if all(reports) else 1


def _run(name: str, options: Options, directory: pathlib.Path | None) -> Report | None:
    """Run one suite and publish its report; None when it failed."""
    facts, others, progress, cores = machine_facts(), OtherLoad(), _Progress(), Cores(options.threads)

    def step(text: str) -> None:
        progress(text)
        cores.sample()

    try:
        report = SUITES[name].load()(options, step)
    except Exception as error:  # one suite's failure must not cost the others' results
        progress.clear()
        print(f"bench {name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    progress.clear()
    facts["busy_with_others"], facts["seconds"] = others.cores(), round(progress.seconds)
    facts["multiply_adds"] = cores.rates()
    print(markdown(report, facts, options))
    if directory is not None:
        print(f"written: {write(report, facts, options, directory)} and .json\n")
    return report


class _Progress:
    """Says what is running, and since when: on one line of a terminal, or now and then in a line of its own."""

    def __init__(self) -> None:
        self._start = self._said = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since this was made."""
        return time.perf_counter() - self._start

    def __call__(self, text: str) -> None:
        line = f"[{self.seconds:4.0f} s] {text}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self._said >= QUIET_SECONDS:
            self._said = time.perf_counter()
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Empty the terminal's line."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure pith against its peers; every number promised is printed with PASS or MISS.",
        epilog=_suites(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", nargs="*", type=_suite, help="what to run, or 'all' (default: all that need no data)")
    parser.add_argument("--quick", action="store_true", help="under a minute; prints, writes only with --out")
    parser.add_argument(
        "--threads", type=_threads, default=_threads(f"1,{len(os.sched_getaffinity(0))}"), metavar="N,.."
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help=f"where results go (default: {RESULTS.name}/ISA/)"
    )
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR", help=".mtx files for the suite 'matrices'")
    return parser


def _suites() -> str:
    """The suites and how long they take, for ``--help``."""
    lines = [f"  {name:12} {s.about:42} {'-' if s.seconds is None else s.seconds:>5}" for name, s in SUITES.items()]
    total = sum(suite.seconds or 0 for suite in SUITES.values())
    took = f"{'':15}{'in all':42} {total:>5}"
    return "\n".join(["suites, and about how many seconds each takes on a quiet machine with two cores:", *lines, took])


def _suite(text: str) -> str:
    if text not in (*SUITES, "all"):
        raise argparse.ArgumentTypeError(f"no suite {text!r}; one of {', '.join(SUITES)}, all")
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
