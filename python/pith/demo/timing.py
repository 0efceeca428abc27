"""Times of variants of one job, taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

#: Called with a few words before every step.
Progress = Callable[[str], None]


def medians(
    variants: Mapping[str, Callable[[], Any]], rounds: int, progress: Progress = lambda text: None
) -> dict[str, float]:
    """Median milliseconds per variant, in interleaved rounds, so that noise meets all of them; warm up before.

    >>> sorted(medians({"a": lambda: None, "b": lambda: None}, rounds=3))
    ['a', 'b']
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        progress(f"timing, round {number + 1} of {rounds}")
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(times) for name, times in taken.items()}
