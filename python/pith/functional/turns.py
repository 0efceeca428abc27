"""Ways to do the same, timed in turns by the calls that take them: the fastest runs, until all are timed anew."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


@dataclasses.dataclass(slots=True)
class Turns:
    """Calls that may go several ways.

    Ways are timed in turns, some calls of one in a row: the first finds the caches full of something else. The fastest
    of all its turns counts: the first calls of a program may take 30 ms instead of 0.6, until the scheduler has put
    torch's threads on cores of their own (three calls of each way, one way after the other: half of the channels of
    64x64 and 128x128 3x3 filters then took twice as long for good; Zen 4, 2026-11).

    Attributes:
        order: the ways, the one that is predicted to be the fastest first.
        holds: how many calls go by what was measured; twice as many each time.
        most: at most so many.
        row, turns: calls of a way in a row, and how often.
        handicaps: way -> what its times are multiplied by, where it has to be so much faster than the others.
        least: way -> the least time.
        calls: since the ways were measured, those of the measurement included.
        best: the fastest way, from the first call that goes by it until ways are timed anew.
        timed: how many calls time the ways.

    Example:
        >>> turns = Turns(("slow", "fast"), holds=8, most=8)
        >>> ran = [turns.run(lambda way: time.sleep(0.002 * (way == "slow")) or way) for _ in range(16)]
        >>> ran[:8], set(ran[8:]), turns.fastest
        (['slow', 'slow', 'fast', 'fast', 'slow', 'slow', 'fast', 'fast'], {'fast'}, 'fast')
    """

    order: tuple[str, ...]
    holds: int
    most: int
    row: int = 2
    turns: int = 2
    handicaps: Mapping[str, float] = dataclasses.field(default_factory=dict)
    least: dict[str, float] = dataclasses.field(default_factory=dict)
    calls: int = 0
    best: str | None = None
    timed: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.timed = self.row * self.turns * len(self.order)

    @property
    def fastest(self) -> str:
        """The way that was the fastest; of those that have no time yet the first."""
        least, handicaps = self.least, self.handicaps
        return min(self.order, key=lambda way: least.get(way, math.inf) * handicaps.get(way, 1.0))

    @property
    def is_measured(self) -> bool:
        """All ways have been timed."""
        return self.calls >= self.timed

    def run(self, call: Callable[[str], Result]) -> Result:
        """``call`` of the way that was the fastest so far, or of the one that is to be timed."""
        number = self.calls
        self.calls = number + 1  # threads that call at once may have one number, but leave none out
        timed = self.timed
        if number == timed + self.holds:
            self.calls, self.holds = 1, min(2 * self.holds, self.most)
            number = 0
        if not number:
            self.least, self.best = {}, None
        least = self.least
        if number >= timed:
            way = self.best or self.fastest
            if len(least) == len(self.order):  # another thread may still be in the first call of a way
                self.best = way
            return call(way)
        way = self.order[number // self.row % len(self.order)]
        start = time.perf_counter()
        result = call(way)
        least[way] = min(least.get(way, math.inf), time.perf_counter() - start)
        return result
