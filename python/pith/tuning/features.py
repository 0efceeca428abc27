"""What the time of a product is made of, in numbers that a model weighs.

Every feature is work one thread does, so ``threads`` divides what kernels share out.
"""

from __future__ import annotations

from collections.abc import Mapping

from pith.lowering.isa import parse_isa

from .problem import Problem
from .variants import Variant, panel_bytes

#: Columns a dense kernel computes at once: a last block is padded to as many, and fewer are hardly less work.
DENSE_COLUMNS = 16

#: A word of a bitmask, in coordinates that are loaded: how many of its bits are set is what no processor foresees.
#: Measured on Zen 3, one thread, 2026-11-21: 6 ns where a coordinate takes 0.2 ns (1024 x 1024, 2 and 10 % stored).
WORD = 30

#: Rows and columns of a tile of sums, and rows of the smallest one where tiles are memory.
TILE_COLUMNS, DOT_ROWS = 16, 4

Features = dict[str, float]


def features(problem: Problem, variant: Variant) -> Features:
    """The features of running a problem by a variant.

    Units: operations, loop trips, visits and bytes, per thread.
    Semantics: of products without elements only the call is left.
    """
    if not problem.columns or not problem.rows:
        return {"call": 1.0}
    if variant.is_library:
        return dense_features(problem)
    problem = problem.unpacked if variant.is_dense else problem
    if variant.family == "whole":
        return dense_features(problem.from_left, variant.lanes)
    return tile_features(problem) if variant.family in ("tiles", "dots") else sparse_features(problem, variant)


def dense_features(problem: Problem, lanes: int = DENSE_COLUMNS) -> Features:
    """The product of the unpacked operand by a dense kernel that computes so many columns at once.

    ============  ==============================================================================
    call          one
    multiply      multiply-adds, the last block of columns padded; none for one column
    vector        bytes of the unpacked operand, for one column: reading them is all there is
    weights       those bytes for more columns: they are packed first
    memory        those bytes where the last cache does not keep them from call to call
    narrow        those bytes for fewer columns than a block: packing pays worst (sparse operand left)
    operand       bytes of the dense operand, packed (and widened) once
    result        bytes of the result, written (and narrowed) once
    ============  ==============================================================================
    """
    m, k, n, threads = problem.rows, problem.contracted, problem.columns, problem.threads
    padded = -(-n // lanes) * lanes
    size = problem.element_bytes
    matrix = m * k * size / threads
    return {
        "call": 1.0,
        "memory": _from_memory(m * k * size, problem),
        "multiply": m * k * padded / threads if n > 1 else 0.0,
        "vector": matrix if n == 1 else 0.0,
        "weights": matrix if n > 1 else 0.0,
        "narrow": matrix if 1 < n < DENSE_COLUMNS and problem.side == "left" else 0.0,
        "operand": k * n * size / threads,
        "result": m * n * size / threads,
    }


def sparse_features(problem: Problem, variant: Variant) -> Features:
    """A kernel of pith's on the stored operand.

    ============  ==============================================================================
    call          one
    multiply      multiply-adds of vectors, columns padded to whole panels
    load          vectors of the panel loaded: rows of a register tile share each load
    far           bytes of those loads that L1 does not hold, counted again when L2 does not either
    ragged        multiply-adds of panels whose vectors are no power of two: sums leave registers
    single        elements of one column that are multiplied one by one: no lanes of a vector run over them
    broadcast     stored values, once per panel
    coordinate    stored coordinates, set bits and words of bitmasks, once per panel
    loop          trips of loops over levels above the last, once per panel
    accumulate    vectors of accumulators begun and put away, once per visit of a row and per strip
    exit          ends of a row's strips where elements are stored one by one: no processor foresees them
    stored        bytes of values and metadata, read once per panel
    memory        bytes of values and metadata where the last cache does not keep them from call to call
    pack          bytes of the dense operand packed into panels
    result        bytes of the result written
    ============  ==============================================================================
    """
    n, k, size = problem.columns, problem.contracted, problem.element_bytes
    lanes = variant.lanes
    panels = -(-n // lanes)
    width = lanes * panel_bytes(variant.family, problem.element)
    isa = parse_isa(problem.isa)
    vectors = -(-width // isa.vector_bytes)
    strip = min(k, variant.strip or k)
    strips = -(-k // max(1, strip))
    multiply = problem.stored * panels * vectors
    loads = multiply / max(1, min(variant.rows, problem.shared_rows))
    far = loads / vectors * width * ((strip * width > isa.l1_bytes) + (strip * width > isa.l2_bytes))
    # Sums stay in registers from one block of a row to the next, but not where masks say which rows have a column.
    visits = problem.rows if variant.family in ("panel", "pairs") and not problem.masked else problem.row_visits
    stored = problem.stored * size + problem.metadata_bytes
    counts = {
        "multiply": multiply,
        "load": loads,
        "far": far,
        "ragged": multiply if vectors & (vectors - 1) else 0.0,
        "single": problem.stored if variant.family == "column" and problem.stores_singly else 0.0,
        "broadcast": problem.stored * panels,
        "coordinate": (problem.coordinates + problem.set_bits + WORD * problem.bit_words) * panels,
        "loop": problem.loop_trips * panels,
        "accumulate": visits * panels * vectors * strips,
        "exit": visits * panels * strips if problem.stores_singly and strips > 1 else 0.0,
        "stored": panels * stored,
        "pack": k * panels * width,
        "result": problem.rows * n * size,
    }
    return {**_shared_out(counts, problem.threads), "memory": _from_memory(stored, problem)}


def tile_features(problem: Problem) -> Features:
    """A kernel on tiles: stored elements are expanded, empty tiles skipped, the rest computed dense.

    ============  ==============================================================================
    call          one
    multiply      multiply-adds of the tiles that are there, columns padded
    expand        stored elements put in their places, once per panel of columns
    stored        bytes of values and metadata
    pack          bytes of the dense operand packed into tiles
    result        bytes of the result written
    ============  ==============================================================================
    """
    n, k, size = problem.columns, problem.contracted, problem.element_bytes
    padded = -(-n // TILE_COLUMNS) * TILE_COLUMNS
    amx = parse_isa(problem.isa).amx_bf16
    whole = problem.shared_rows >= (TILE_COLUMNS if amx else DOT_ROWS)  # else every tile has some element
    counts = {
        "multiply": (problem.stored if whole else problem.rows * k) * padded,
        "expand": problem.stored * -(-n // (4 * TILE_COLUMNS)),
        "stored": problem.stored * size + problem.metadata_bytes,
        "pack": k * padded * size,
        "result": problem.rows * n * size,
    }
    return _shared_out(counts, problem.threads)


def _from_memory(size: float, problem: Problem) -> float:
    """``size`` if it is more than half of the last cache: then little is left there from one call to the next.

    Threads share what memory gives. Zen 4 (32 MiB of L3), one column of a dense matrix, GB/s on one thread and two: 12
    and 16 MiB 68 and 125, 24 MiB 37 and 73, 48 MiB 31 and 48 (2026-11).
    """
    return size if 2 * size > parse_isa(problem.isa).l3_bytes else 0.0


def _shared_out(counts: Mapping[str, float], threads: int) -> Features:
    """Counts per thread, and the call."""
    return {"call": 1.0, **{name: count / threads for name, count in counts.items()}}
