"""What a suite hands back: plain data that is printed, and written as Markdown and JSON."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        quick: few cases and rounds: does it work, roughly how fast; nothing to quote.
        threads: numbers of threads to measure with.
        data: folder of ``.mtx`` files for the suite ``matrices``.
    """

    quick: bool = False
    threads: tuple[int, ...] = (1,)
    data: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A number this project promises, and what was measured.

    Attributes:
        text: the promise.
        measured: None when it could not be measured.
        limit: what it is compared with.
        unit: of both.
        at_least: larger is better.
        lacks: what the promise is made for and this machine does not have (:func:`bench.machine.lacking`).
        reach: what this machine's peak would give, where the promise is made for another one: a ratio that no kernel
            can beat.
    """

    text: str
    measured: float | None
    limit: float
    unit: str
    at_least: bool = False
    lacks: str = ""
    reach: float | None = None

    @property
    def verdict(self) -> str:
        """``PASS``, ``MISS``, ``NOT MEASURED``, or that it cannot be told, or not be met, on this machine.

        >>> Requirement("call", 9.5, 10, "us").verdict, Requirement("ratio", 0.9, 0.97, "x", at_least=True).verdict
        ('PASS', 'MISS')
        >>> Requirement("bf16", 5.0, 2.0, "x", at_least=True, lacks="AMX").verdict
        'not measurable here: needs AMX'
        >>> Requirement("bf16", 1.2, 1.5, "x", at_least=True, reach=1.4).verdict
        'out of reach here: the peak would give 1.4 x'
        """
        if self.lacks:
            return f"not measurable here: needs {self.lacks}"
        if self.measured is None:
            return "NOT MEASURED"
        if self.reach is not None and self.measured < self.limit and self.reach < self.limit:
            return f"out of reach here: the peak would give {self.reach:.3g} {self.unit}"
        met = self.measured >= self.limit if self.at_least else self.measured < self.limit
        return "PASS" if met else "MISS"

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "verdict": self.verdict}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text, one tuple per row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass
class Report:
    """All that a suite found.

    Attributes:
        suite: its name.
        title: one line.
        tables: for readers.
        cases: for programs: JSON data with every sample.
        requirements: what it says about the project's promises.
        notes: what was counted and how; what was left out and why.
    """

    suite: str
    title: str
    tables: list[Table] = dataclasses.field(default_factory=list)
    cases: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    requirements: list[Requirement] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


#: Told a few words before every step.
Progress = Callable[[str], None]
