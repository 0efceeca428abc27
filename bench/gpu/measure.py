"""One case: operands, the check against float64 with poisoned results, and the race. A failure is a row, too."""

from __future__ import annotations

import dataclasses
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from .cases import Case
from .peers import UNCHECKED, WAITING, peer
from .peers_table import PITH
from .problems import Problem, problem, relative_error
from .timing import Clock, Race, hold

#: What peers may be off by: they round more often, or compute f32 in tf32.
_PEER_TOLERANCE = 2e-2

#: Calls in a row whose time on the host is taken, and how often.
_BATCH, _BATCHES = 100, 20

#: Lines of an error that a row keeps: assemblers and drivers say what is wrong at the beginning.
_LINES = 12


class Kernels(Protocol):
    """Where the kernels of cases come from."""

    def kernel(self, case: Case) -> Callable[[Problem], Callable[[], Sequence[torch.Tensor]]]:
        """What binds a kernel to operands; the bound call returns the results.

        Errors: whatever keeps the kernel from being built or loaded.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """How cases are measured.

    Attributes:
        device: where.
        clock: what times a call; None: nothing is timed.
        rounds: of the race.
        seed: of the data.
        seconds: of the race of one case, after which no round is begun.
    """

    device: torch.device
    clock: Clock | None
    rounds: int = 15
    seed: int = 0
    seconds: float = 4.0


def measure(case: Case, kernels: Kernels, settings: Settings) -> dict[str, Any]:
    """A row of the report.

    Its ``status`` is ``ok``; ``wrong`` (the result is off: its time would mean nothing); or ``failed``, with the
    error and the stage: ``load``, ``operands``, ``run`` or ``time``.
    """
    row: dict[str, Any] = {"case": case.name, "family": case.family, "build": dict(case.build), "data": dict(case.data)}
    stage, started = "load", time.monotonic()
    try:
        bind = kernels.kernel(case)
        stage = "operands"
        given = problem(case, settings.device, settings.seed)
        stage = "run"
        call = bind(given)
        row |= _checked(given, call)
        if row["status"] == "ok" and settings.clock is not None:
            stage = "time"
            row |= _raced(case, given, call, settings, settings.clock)
            row |= {"call_us": _call_us(call, settings.clock)} if case.call_us else {}
            row |= _checked_again(given, call)
    except Exception as error:
        row |= {"status": "failed", "stage": stage, "message": message_of(error)}
    row["seconds"] = round(time.monotonic() - started, 2)
    return row


def _checked(given: Problem, call: Callable[[], Sequence[torch.Tensor]]) -> dict[str, Any]:
    given.poison()
    error = given.error(call())
    status = "ok" if error <= given.tolerance else "wrong"
    return {"status": status, "error": error, "tolerance": given.tolerance, "flops": given.flops}


def _checked_again(given: Problem, call: Callable[[], Sequence[torch.Tensor]]) -> dict[str, Any]:
    """What changes in a row when the result is off after all those runs: a race that the first check did not see."""
    if not given.written:
        return {}
    found = _checked(given, call)
    return {} if found["status"] == "ok" else {**found, "message": "it was right before it was timed"}


def _raced(case: Case, given: Problem, call: Callable[[], Any], settings: Settings, clock: Clock) -> dict[str, Any]:
    calls, errors, refused = {PITH: call}, {}, {}
    for name in case.peers:
        try:
            made = peer(name, given)
            errors[name] = _peer_error(name, given, made)
            calls[name] = made
        except Exception as error:
            refused[name] = message_of(error)
    race = hold(calls, errors, clock, settings.rounds, time.monotonic() + settings.seconds, WAITING)
    return {"contestants": _contestants(race), "refused": refused}


def _call_us(call: Callable[[], Any], clock: Clock) -> float:
    """Microseconds the host spends on a call: the median of batches that the device keeps up with."""
    samples = []
    for _ in range(_BATCHES):
        clock.finish()
        start = time.perf_counter()
        for _ in range(_BATCH):
            call()
        samples.append((time.perf_counter() - start) / _BATCH)
    clock.finish()
    return round(statistics.median(samples) * 1e6, 3)


def _peer_error(name: str, given: Problem, call: Callable[[], torch.Tensor]) -> float:
    """Errors: ``ValueError`` when a peer does not compute the case."""
    result = call()
    if name in UNCHECKED or given.reference is None:
        return 0.0
    error = relative_error(result, given.reference)
    if not error <= _PEER_TOLERANCE:
        raise ValueError(f"its result is off by {error:.3g}")
    return error


def _contestants(race: Race) -> dict[str, Any]:
    return {
        name: {
            "median_us": round(timing.median * 1e6, 3),
            "pith_speedup": round(race.speedup(PITH, name), 4),
            "way": race.ways[name],
            "error": timing.error,
            "samples_us": [round(s * 1e6, 3) for s in timing.samples],
        }
        for name, timing in race.timings.items()
    }


def message_of(error: BaseException) -> str:
    """The error as its user would read it; with the place for what no user should see."""
    text = "".join(traceback.format_exception_only(error)).strip()
    lines = text.splitlines()
    cut = lines[:_LINES] + (["..."] if len(lines) > _LINES else [])
    frames = traceback.extract_tb(error.__traceback__)
    place = f"  at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return "\n".join([*cut, place] if place else cut)
