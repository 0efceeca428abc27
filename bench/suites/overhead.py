"""What a call into compiled code costs beyond the code: cached kernels, ``pith.matmul``, single arguments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pith
import torch
from pith.tuning.problem import Problem
from pith.tuning.select import choose

from bench.harness import Contest, Outcome, hold
from bench.kernels import csr_kernel
from bench.native_calls import bare_call, empty_functions
from bench.operands import Product, aligned, at_sparsity, pith_matmul, poisoned, set_threads, weights
from bench.records import Options, Progress, Report, Requirement, Table

BARE = "bare foreign call"

#: Sizes of the tiny products: nothing but overhead.
TINY = (16, 16, 4)

NOTES = (
    "Microseconds per call, medians over the rounds, one thread, operands of 16x16 and below; `over bare`: beyond "
    "the ctypes call of the same native function with its descriptors made beforehand.",
    "Kernels that return a new array are compared with the bare call of the same arithmetic into given memory.",
)

_ADD = """func.func @add(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %z = arith.addf %x, %y : tensor<?x?xf32>
  return %z : tensor<?x?xf32>
}"""

_ADD_OUT = """func.func @add_out(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %out: memref<?x?xf32> {pith.name = "out"}) {
  %z = arith.addf %x, %y : tensor<?x?xf32>
  bufferization.materialize_in_destination %z in restrict writable %out : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  return
}"""


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("overhead", "Overhead of calls", notes=list(NOTES))
    rounds = 7 if options.quick else 41
    set_threads(1)
    outcomes = []
    for contest in (_dense_kernel(), _sparse_kernel(), _arguments(), _matmul()):
        progress(f"overhead: {contest.name}")
        outcome = hold(contest, rounds)
        outcomes.append(outcome)
        report.cases.append(outcome.to_json(threads=1))
        report.tables.append(_table(outcome))
    dense, sparse, arguments, matmul = outcomes
    report.notes.append(_per_argument(arguments))
    report.requirements = [*_kernel_requirements(dense), *_kernel_requirements(sparse), *_matmul_requirements(matmul)]
    report.requirements.append(_choosing(rounds))
    return report


def _dense_kernel() -> Contest:
    x, y = aligned(np.ones((8, 8), np.float32)), aligned(np.full((8, 8), 2, np.float32))
    out = poisoned((8, 8))
    xt, yt, out_t = map(torch.from_numpy, (x, y, poisoned((8, 8))))
    add, add_out = pith.compile(_ADD), pith.compile(_ADD_OUT)
    contestants = {
        BARE: _writing(bare_call(add_out.native, (x, y, out)), out),
        "k(x, y, out)": _writing(lambda: add_out(x, y, out), out),
        "k(x, y, out), torch": _writing(lambda: add_out(xt, yt, out_t), out_t),
        "k(x, y)": lambda: add(x, y),
        "k(x, y), torch": lambda: add(xt, yt),
        "numpy x + y": lambda: x + y,
        "torch x + y": lambda: xt + yt,
    }
    return Contest("sum of two matrices", contestants, BARE, x.astype(np.float64) + y)


def _sparse_kernel() -> Contest:
    product = _tiny()
    csr, out = product.csr(), poisoned(product.shape)
    kernel = csr_kernel(*TINY)
    contestants = {
        BARE: _writing(bare_call(kernel.native, (*csr.buffers, product.x, out)), out),
        "k(A, x, out)": _writing(lambda: kernel(csr, product.x, out), out),
    }
    return Contest("CSR product, compiled for its sizes", contestants, BARE, product.reference)


def _matmul() -> Contest:
    product = _tiny()
    csr = product.csr()
    scipy, x, x_torch = csr.to_scipy(), product.x, torch.from_numpy(product.x)
    w, w_torch = product.dense, torch.from_numpy(product.dense)
    contestants = {
        "numpy, dense": lambda: w @ x,
        "pith.matmul(A, x)": lambda: pith.matmul(csr, x),
        "pith.matmul(A, x), torch": lambda: pith.matmul(csr, x_torch),
        "pith.matmul(A, x, out=)": pith_matmul(csr, product),
        "scipy A @ x": lambda: scipy @ x,
        "torch, dense": lambda: w_torch @ x_torch,
    }
    return Contest("pith.matmul, CSR", contestants, "numpy, dense", product.reference)


def _arguments() -> Contest:
    """Functions that do nothing, so the result to check is that of no work: zero."""
    functions = empty_functions()
    arrays = [aligned(np.ones((8, 8), np.float32)) for _ in range(6)]
    tensors = list(map(torch.from_numpy, arrays))
    strided = [np.ones((16, 16), np.float32)[::2, ::2] for _ in range(3)] + arrays[3:]
    one, six, numbers, result = (functions[name] for name in ("one", "six", "numbers", "result"))
    calls: dict[str, Callable[[], Any]] = {
        BARE: bare_call(six, arrays),
        "1 array": lambda: one(arrays[0]),
        "6 arrays": lambda: six(*arrays),
        "6 arrays, 3 of them copied": lambda: six(*strided),
        "6 torch tensors": lambda: six(*tensors),
        "6 arrays, 4 numbers": lambda: numbers(*arrays, 1, 2, 3, 4),
        "6 arrays, one returned": lambda: result(*arrays),
    }
    nothing = np.zeros(())
    contestants = {name: _writing(call, nothing) for name, call in calls.items()}
    return Contest("native functions that do nothing", contestants, BARE, np.zeros(()))


def _tiny() -> Product:
    return Product.of(at_sparsity(weights(*TINY[:2]), 0.5), TINY[2], "csr")


def _writing(call: Callable[[], Any], out: Any) -> Callable[[], Any]:
    """``call``, handing back the memory it writes to."""

    def run_it() -> Any:
        call()
        return out

    return run_it


def _table(outcome: Outcome) -> Table:
    base = outcome.timings.get(BARE)
    rows = []
    for name, timing in outcome.timings.items():
        row = (name, f"{timing.median * 1e6:.2f}")
        rows.append((*row, f"{(timing.median - base.median) * 1e6:.2f}") if base else row)
    return Table(outcome.contest.name, ("call", "us", "over bare")[: 3 if base else 2], tuple(rows))


def _over_bare(outcome: Outcome, name: str) -> float:
    return (outcome.timings[name].median - outcome.timings[BARE].median) * 1e6


def _kernel_requirements(outcome: Outcome) -> list[Requirement]:
    names = [name for name in outcome.timings if name.startswith("k(")]
    return [
        Requirement(f"cached {name} over the bare native call", _over_bare(outcome, name), 10, "us") for name in names
    ]


def _matmul_requirements(outcome: Outcome) -> list[Requirement]:
    names = ("pith.matmul(A, x)", "pith.matmul(A, x), torch")
    return [Requirement(f"{name}, 16x16 by 16x4", outcome.timings[name].median * 1e6, 25, "us") for name in names]


def _per_argument(outcome: Outcome) -> str:
    one, six, with_numbers = (outcome.timings[n].median for n in ("1 array", "6 arrays", "6 arrays, 4 numbers"))
    array, number = (six - one) / 5 * 1e9, (with_numbers - six) / 4 * 1e9
    return f"Each further array costs {array:.0f} ns, each number {number:.0f} ns."


def _choosing(rounds: int) -> Requirement:
    """What it takes to choose the variant of a layer that no choice is known for, the calibration being loaded."""
    layer = pith.compress(pith.prune(weights(1536, 384), "C0(2:4)"), "C0(2:4)")
    samples = []
    for columns in range(64, 64 + rounds):
        start = time.perf_counter()
        choose(Problem.of(layer, columns))
        samples.append(time.perf_counter() - start)
    return Requirement("choosing the variant of a layer", statistics.median(samples[1:]) * 1e3, 1.0, "ms")
