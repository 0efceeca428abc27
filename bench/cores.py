"""How fast this machine's cores multiply and add, alone and together, while a suite runs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence

import numpy as np
import pith
from pith.lowering.isa import host_isa

#: Sums in registers: two a cycle with four cycles of latency, one with six, and some to spare. Rounds of a sample: some
#: milliseconds.
_CHAINS, _TRIPS = 12, 1_000_000

#: Seconds between samples, at least.
_APART = 0.25


class Cores:
    """Samples of what cores compute in registers: the ceiling of whatever is measured meanwhile.

    Args:
        counts: numbers of cores.
        element: type of the factors: f32, or bf16, which ``vdpbf16ps`` multiplies in pairs.

    >>> cores = Cores((1,))
    >>> cores.sample()
    >>> cores.rates()["1"] > 0
    True
    """

    def __init__(self, counts: Sequence[int], element: str = "f32") -> None:
        self._lanes, self._pairs = host_isa().vector_bytes // 4, 1 if element == "f32" else 2
        self._kernel = pith.compile(_source(self._lanes, element))
        self._samples: dict[int, list[float]] = {count: [] for count in counts}
        self._last = 0.0

    def sample(self) -> None:
        """Measure all numbers of cores once, unless that was just done."""
        if time.perf_counter() - self._last < _APART:
            return
        for count, samples in self._samples.items():
            samples.append(self._rate(count))
        self._last = time.perf_counter()

    def rates(self) -> dict[str, float]:
        """Number of cores, as text -> GFLOP/s of them together, the median."""
        return {str(n): round(statistics.median(rates) / 1e9, 1) for n, rates in self._samples.items() if rates}

    def peak(self, count: int) -> float:
        """FLOP/s of so many cores together at best: what disturbs a sample makes no kernel faster."""
        return max(self._samples[count])

    def _rate(self, count: int) -> float:
        """Operations a second: of each core in the time in which all of them compute, added up."""
        barrier, seconds = threading.Barrier(count), [0.0] * count

        def work(which: int) -> None:
            sums = np.zeros((_CHAINS, self._lanes), np.float32)
            barrier.wait()
            start = time.perf_counter()
            self._kernel(_TRIPS, sums)
            seconds[which] = time.perf_counter() - start

        others = [threading.Thread(target=work, args=(i,)) for i in range(1, count)]
        for thread in others:
            thread.start()
        work(0)
        for thread in others:
            thread.join()
        return sum(2 * _TRIPS * _CHAINS * self._lanes * self._pairs / s for s in seconds)


def _source(lanes: int, element: str) -> str:
    """``k(trips, sums)``: so many multiply-adds for each of the sums, which registers hold meanwhile."""
    vector, memory = f"vector<{lanes}xf32>", f"memref<{_CHAINS}x{lanes}xf32>"
    factor = vector if element == "f32" else f"vector<{2 * lanes}x{element}>"
    operands = f"({vector}, {factor}, {factor}) -> {vector}"
    multiply = "vector.fma %s{i}, %factor, %factor : {vector}"
    multiply = multiply if element == "f32" else f'"x86.avx512.dot"(%s{{i}}, %factor, %factor) : {operands}'
    each = range(_CHAINS)
    types, begun = ", ".join([vector] * _CHAINS), ", ".join(f"%s{i} = %b{i}" for i in each)
    begin, add, end = (
        "\n".join(line.format(i=i, vector=vector, memory=memory) for i in each)
        for line in (
            "%c{i} = arith.constant {i} : index\n%b{i} = vector.load %sums[%c{i}, %c0] : {memory}, {vector}",
            "%n{i} = " + multiply,
            "vector.store %r#{i}, %sums[%c{i}, %c0] : {memory}, {vector}",
        )
    )
    return f"""
func.func @multiply_adds(%trips: index, %sums: {memory} {{pith.name = "sums"}}) {{
  %factor = arith.constant dense<0.5> : {factor}
  {begin}
  %r:{_CHAINS} = scf.for %i = %c0 to %trips step %c1 iter_args({begun}) -> ({types}) {{
    {add}
    scf.yield {", ".join(f"%n{i}" for i in each)} : {types}
  }}
  {end}
  return
}}
"""
