"""What the time of a product is made of, in numbers that a model weighs.

Every feature is work one thread does, so ``threads`` divides what kernels share out.
"""

from __future__ import annotations

from .problem import Problem
from .variants import Variant

#: Bytes a core can keep beside it: above, a feature counts what comes from further away.
L1_BYTES, L2_BYTES = 32 << 10, 512 << 10

#: Columns a dense kernel computes at once; a last block is padded to as many.
DENSE_COLUMNS = 16

Features = dict[str, float]


def features(problem: Problem, variant: Variant) -> Features:
    """The features of running a problem by a variant.

    Units: multiply-adds, loop trips, visits and bytes, per thread.
    Semantics: of products without elements only the call is left.
    """
    if not problem.columns or not problem.rows:
        return {"call": 1.0}
    return dense_features(problem) if variant.is_dense else sparse_features(problem, variant)


def dense_features(problem: Problem) -> Features:
    """The library's product of the unpacked operand.

    ============  ==============================================================================
    call          one
    multiply      multiply-adds, the last block of columns padded
    weights       bytes of the unpacked operand: at few columns they bound the time
    operand       bytes of the dense operand, packed (and widened) once
    result        bytes of the result, written (and narrowed) once
    ============  ==============================================================================
    """
    m, k, n, threads = problem.rows, problem.contracted, problem.columns, problem.threads
    padded = -(-n // DENSE_COLUMNS) * DENSE_COLUMNS if n > 1 else 1
    size = problem.element_bytes
    return {
        "call": 1.0,
        "multiply": m * k * padded / threads,
        "weights": m * k * size / threads,
        "operand": k * n * size / threads,
        "result": m * n * size / threads,
    }


def sparse_features(problem: Problem, variant: Variant) -> Features:
    """A kernel of pith's on the stored operand.

    ============  ==============================================================================
    call          one
    multiply      multiply-adds of stored elements, columns padded to whole panels
    panel         bytes of panel rows loaded: rows of a register tile share each load
    far           those of them that L1 does not hold, counted again when L2 does not either
    decode        stored elements, once per panel: finding the coordinate, broadcasting the value
    loop          trips of loops over levels above the last
    accumulate    bytes of accumulators begun and put away, once per visit of a row
    stored        bytes of values and metadata, read once per panel
    pack          bytes of the dense operand packed into panels
    result        bytes of the result written
    ============  ==============================================================================
    """
    n, k, threads, size = problem.columns, problem.contracted, problem.threads, problem.element_bytes
    lanes = min(variant.lanes, n) if variant.lanes_fit else variant.lanes
    panels = -(-n // lanes)
    width = lanes * size
    tile_rows = max(1, min(variant.rows, problem.shared_rows))
    loads = problem.stored * panels * width / tile_rows
    footprint = k * width
    far = loads * ((footprint > L1_BYTES) + (footprint > L2_BYTES))
    return {
        "call": 1.0,
        "multiply": problem.stored * panels * lanes / threads,
        "panel": loads / threads,
        "far": far / threads,
        "decode": problem.stored * panels / threads,
        "loop": problem.loop_trips * panels / threads,
        "accumulate": problem.row_visits * panels * width / threads,
        "stored": panels * (problem.stored * size + problem.metadata_bytes) / threads,
        "pack": k * panels * width / threads,
        "result": problem.rows * n * size / threads,
    }
