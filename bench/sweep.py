"""Holding many contests over every number of threads, and averaging what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .harness import CONTEST_SECONDS, Contest, Outcome, geomean, hold
from .operands import set_threads
from .records import Options, Progress, Report
from .report import speed_table

#: Timing rounds of a full and of a quick run.
ROUNDS, QUICK_ROUNDS = 11, 3

#: Times as many rounds, and seconds, for a contest that is held again.
AGAIN = 8


class Sweep:
    """The outcomes of a suite's contests, by number of threads.

    Attributes:
        seconds: that timing one contest should take.
        doubted: of an outcome and the facts about its case, whether the contest is held again, longer, and counts as
            it was found then: the least of a hundred medians of eleven quotients is what was interrupted.
        found: threads -> (facts about the case, its outcome), in the order they ran.
    """

    def __init__(
        self,
        options: Options,
        seconds: float = CONTEST_SECONDS,
        doubted: Callable[[Outcome, dict[str, Any]], bool] = lambda outcome, facts: False,
    ):
        self.options, self.seconds, self.doubted = options, seconds, doubted
        self.found: dict[int, list[tuple[dict[str, Any], Outcome]]] = {threads: [] for threads in options.threads}

    def run(self, contests: Iterable[tuple[Contest, dict[str, Any]]], report: Report, progress: Progress) -> None:
        """Hold every contest on every number of threads; cases and tables go to the report."""
        rounds = QUICK_ROUNDS if self.options.quick else ROUNDS
        for contest, facts in contests:
            for threads in self.options.threads:
                progress(f"{report.suite}: {contest.name}, {plural(threads)}")
                set_threads(threads)
                outcome = hold(contest, rounds, self.seconds)
                if self.doubted(outcome, facts):
                    outcome = hold(contest, AGAIN * rounds, AGAIN * self.seconds)
                self.found[threads].append((facts, outcome))
                report.cases.append(outcome.to_json(**facts, threads=threads))
        for threads, found in self.found.items():
            report.tables.append(speed_table(f"{plural(threads).capitalize()}, all cases", [o for _, o in found]))

    def select(self, threads: int, **facts: Any) -> list[Outcome]:
        """Outcomes of the cases that have these facts; none when that number of threads was not measured."""
        found = self.found.get(threads, [])
        return [o for have, o in found if all(have[name] == value for name, value in facts.items())]

    def means(self, threads: int, pairs: Iterable[tuple[str, str]], **facts: Any) -> Iterator[float]:
        """Geometric mean over cases of each pair's speed-up, first over second."""
        outcomes = self.select(threads, **facts)
        for name, over in pairs:
            yield geomean([o.speedup(name, over) for o in outcomes])


def plural(threads: int) -> str:
    """
    >>> plural(1), plural(2)
    ('1 thread', '2 threads')
    """
    return f"{threads} thread" + "s" * (threads != 1)
