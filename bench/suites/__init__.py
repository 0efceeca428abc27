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
        seconds: a full run took on a quiet 2-core AVX2 machine, 2026-11; None where the data decides.
        about: what it measures.
    """

    module: str
    seconds: int | None
    about: str

    def load(self) -> Callable[[Options, Progress], Report]:
        """The function that runs it."""
        return importlib.import_module(self.module).run


SUITES: dict[str, Suite] = {
    "spmm": Suite("bench.suites.spmm", 0, "CSR x dense"),
    "hss": Suite("bench.suites.hss", 0, "hierarchical structured sparsity x dense"),
    "dense": Suite("bench.suites.dense", 0, "dense products"),
    "lowprecision": Suite("bench.suites.lowprecision", 0, "bf16, int8 and int4 products"),
    "degrees": Suite("bench.suites.degrees", 0, "HighLight's twelve degrees"),
    "packing": Suite("bench.suites.packing", 0, "pruning and packing"),
    "gradients": Suite("bench.suites.gradients", 0, "training steps, fixed patterns"),
    "training": Suite("bench.suites.training", 0, "training steps, a new mask every step"),
    "detect": Suite("bench.suites.detect", 0, "detection of patterns"),
    "pit": Suite("bench.suites.pit", 0, "sparsity known only at run time"),
    "moe": Suite("bench.suites.moe", 0, "mixtures of experts"),
    "ragged": Suite("bench.suites.ragged", 0, "ragged batches"),
    "neurons": Suite("bench.suites.neurons", 0, "inactive neurons"),
    "attention": Suite("bench.suites.attention", 0, "attention over what queries see"),
    "overhead": Suite("bench.suites.overhead", 0, "what a call costs"),
    "compile": Suite("bench.suites.compiling", 0, "time and memory of compilation"),
    "demo": Suite("bench.suites.demo", 0, "MiniLM, pruned, and on a padded batch"),
    "matrices": Suite("bench.suites.matrices", None, "matrices from files: needs --data"),
}

#: Suites that run when none is named; ``matrices`` joins when there is data for it.
DEFAULT = tuple(name for name, suite in SUITES.items() if suite.seconds is not None)
