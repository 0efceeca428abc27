"""The suites, by name, in the order they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bench.records import Options, Progress, Report

#: name -> module with ``run(options, progress) -> Report``. Loaded when it is run: suites need torch, MLIR, ...
SUITES: dict[str, str] = {
    "spmm": "bench.suites.spmm",
    "hss": "bench.suites.hss",
    "dense": "bench.suites.dense",
    "lowprecision": "bench.suites.lowprecision",
    "degrees": "bench.suites.degrees",
    "packing": "bench.suites.packing",
    "gradients": "bench.suites.gradients",
    "training": "bench.suites.training",
    "detect": "bench.suites.detect",
    "moe": "bench.suites.moe",
    "ragged": "bench.suites.ragged",
    "neurons": "bench.suites.neurons",
    "attention": "bench.suites.attention",
    "pit": "bench.suites.pit",
    "overhead": "bench.suites.overhead",
    "compile": "bench.suites.compiling",
    "demo": "bench.suites.demo",
    "matrices": "bench.suites.matrices",
}

#: Suites that run when none is named; ``matrices`` joins when there is data for it.
DEFAULT = (
    "spmm",
    "hss",
    "dense",
    "packing",
    "degrees",
    "gradients",
    "training",
    "moe",
    "ragged",
    "neurons",
    "overhead",
    "compile",
    "demo",
)


def load(name: str) -> Callable[[Options, Progress], Report]:
    """The function that runs a suite."""
    return importlib.import_module(SUITES[name]).run
