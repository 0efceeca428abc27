"""The suites, by name, in the order they run."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable

from bench.records import Options, Progress, Report


@dataclasses.dataclass(frozen=True)
class Suite:
    """One capability's measurements.

    Attributes:
        module: has ``run(options, progress) -> Report``. Loaded when it is run: suites need torch, MLIR, ...
        seconds: a full run should take on a quiet machine with two cores: its cases times what timing one should
            take (:class:`bench.sweep.Sweep`), and preparing them. None where the data decides.
        about: what it measures.
    """

    module: str
    seconds: int | None
    about: str

    def load(self) -> Callable[[Options, Progress], Report]:
        """The function that runs it."""
        return importlib.import_module(self.module).run


SUITES: dict[str, Suite] = {
    "spmm": Suite("bench.suites.spmm", 70, "CSR x dense"),
    "hss": Suite("bench.suites.hss", 95, "hierarchical structured sparsity x dense"),
    "dense": Suite("bench.suites.dense", 35, "dense products"),
    "lowprecision": Suite("bench.suites.lowprecision", 125, "bf16, f16, int8 and int4 products"),
    "degrees": Suite("bench.suites.degrees", 75, "HighLight's twelve degrees"),
    "packing": Suite("bench.suites.packing", 80, "pruning and packing"),
    "gradients": Suite("bench.suites.gradients", 100, "training steps, fixed patterns"),
    "training": Suite("bench.suites.training", 100, "training steps, a new mask every step"),
    "detect": Suite("bench.suites.detect", 55, "detection of patterns"),
    "pit": Suite("bench.suites.pit", 150, "sparsity known only at run time"),
    "moe": Suite("bench.suites.moe", 150, "mixtures of experts"),
    "ragged": Suite("bench.suites.ragged", 45, "ragged batches"),
    "neurons": Suite("bench.suites.neurons", 45, "inactive neurons"),
    "conv": Suite("bench.suites.conv", 90, "convolutions with pruned filters"),
    "networks": Suite("bench.suites.networks", 160, "convolutional networks, dense and pruned"),
    "attention": Suite("bench.suites.attention", 40, "attention over what queries see"),
    "overhead": Suite("bench.suites.overhead", 10, "what a call costs"),
    "compile": Suite("bench.suites.compiling", 80, "time and memory of compilation"),
    "demo": Suite("bench.suites.demo", 60, "MiniLM, pruned, and on a padded batch"),
    "matrices": Suite("bench.suites.matrices", None, "matrices from files: needs --data"),
}

#: Suites that run when none is named; ``matrices`` joins when there is data for it.
DEFAULT = tuple(name for name, suite in SUITES.items() if suite.seconds is not None)
