"""Timing on a device: contestants take turns, caches are cold, CUDA graphs leave the host out."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import torch

from bench.harness import Timing

#: Bytes written before every sample: several times the L2 cache of any chip.
_FLUSH_BYTES = 256 << 20


class Clock(Protocol):
    """How calls are timed on one kind of device."""

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], Any], str]:
        """What to time instead of ``call``, and what it is: ``graph`` or ``stream``, with the reason."""
        ...

    def seconds(self, call: Callable[[], Any]) -> float:
        """One sample."""
        ...

    def finish(self) -> None:
        """Wait until the device is done."""
        ...


class CudaClock:
    """Events around one replay of a CUDA graph, after the L2 cache was overwritten."""

    def __init__(self) -> None:
        self._elsewhere = torch.empty(_FLUSH_BYTES, dtype=torch.int8, device="cuda")
        self._begin, self._end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], Any], str]:
        """A graph of one call; the call itself where it cannot be captured: it then waits for the host, too."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                call()
        except Exception as error:
            torch.cuda.synchronize()
            return call, f"stream: cannot be captured, {_first_line(error)}"
        return graph.replay, "graph"

    def seconds(self, call: Callable[[], Any]) -> float:
        """The host is ahead while the cache is overwritten, so no launch is waited for."""
        self._elsewhere.zero_()
        self._begin.record()
        call()
        self._end.record()
        self._end.synchronize()
        return self._begin.elapsed_time(self._end) * 1e-3

    def finish(self) -> None:
        torch.cuda.synchronize()


class HostClock:
    """For machines without a GPU: it shows that the harness works, and measures nothing worth keeping."""

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], Any], str]:
        return call, "host"

    def seconds(self, call: Callable[[], Any]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def finish(self) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class Race:
    """Samples of contestants that took turns.

    Attributes:
        timings: by contestant.
        ways: how each was run.
    """

    timings: Mapping[str, Timing]
    ways: Mapping[str, str]

    def speedup(self, name: str, over: str) -> float:
        """How many times faster ``name`` is than ``over``: the median of the rounds' quotients."""
        pairs = zip(self.timings[over].samples, self.timings[name].samples)
        return statistics.median(base / own for base, own in pairs)


def hold(
    calls: Mapping[str, Callable[[], Any]],
    errors: Mapping[str, float],
    clock: Clock,
    rounds: int,
    until: float = math.inf,
    waiting: Collection[str] = (),
) -> Race:
    """Time every contestant in every round, each round beginning with another one; three rounds at least.

    Args:
        errors: of the results, for the record.
        until: ``time.monotonic()`` after which no round is begun.
        waiting: contestants that wait for the device themselves and cannot be captured.
    """
    captured = {n: (c, "stream: waits for the device") if n in waiting else clock.capture(c) for n, c in calls.items()}
    ways = {name: way for name, (_, way) in captured.items()}
    for call, _ in captured.values():
        clock.seconds(call)
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        if number >= 3 and time.monotonic() > until:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(clock.seconds(captured[name][0]))
    clock.finish()
    return Race({n: Timing(tuple(samples[n]), errors.get(n, math.nan)) for n in names}, ways)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
