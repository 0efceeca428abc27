"""Times on a machine nobody has measured: what its instruction set allows, and how close kernels come to it.

Absolute times may be off by the clock of the machine; choices depend on quotients, which carry over.
"""

from __future__ import annotations

from pith.lowering.isa import Isa, parse_isa

from .model import Model
from .problem import ELEMENT_BYTES

#: Cycles a second, assumed: most servers run vector code between 2.5 and 3.5 GHz.
CLOCK = 3.0e9

#: Multiply-adds of vectors a cycle; without an instruction for them, a multiplication and an addition.
FMA_PER_CYCLE, WITHOUT_FMA = 2, 1

#: Vectors that a cycle loads from L1: 300 GB/s of 64-byte vectors, measured on a core with AMX (2026-11). Multiply-adds
#: that load their operand keep to it where rows share nothing: by llvm-mca for Skylake's AVX-512 the index arithmetic
#: of 2:4, 1:4 and C1(2:4)->C0(2:4) then fits between loads (44 of 58 cycles, 24 of 29, 30 of 31; 64 columns).
LOADS_PER_CYCLE = 1.4

#: Share of the peak that libraries reach: oneDNN and MKL 0.85 of AVX2's and AVX-512's (measured 2026-11).
DENSE_SHARE = 0.85

#: Multiply-adds a second of 16-bit floats on AMX: 1250 GF/s through torch, of 3143 (measured 2026-11). Bytes: twice.
AMX_RATE = 625e9

#: Share of the peak of dot instructions that tiles in vectors reach: 55-70 of 96 thousand million products a second
#: of pairs with AVX2, one core of a Zen 3 (2026-11); assumed of the others.
DOT_SHARE = 0.65

#: Multiply-adds a second of 16-bit floats without instructions for them, and of wide integers: scalar code, 2 GF/s.
SCALAR_RATE = 1e9

#: Bytes a second one core reads from L2, and from memory beside other cores.
L2_RATE, MEMORY_RATE = 40e9, 12e9

#: Seconds of a call beyond its work; of putting an element in its place in a tile.
CALL, EXPAND = 4e-6, 0.18e-9

#: Seconds of a loop's end and of a vector of sums begun and put away: most loops are unrolled, most sums stay in
#: registers. As fitted on a Zen 3 core (2026-11).
TRIP, ACCUMULATE = 0.14e-9, 0.006e-9

#: Seconds of the end of a row's strip, which no processor foresees. As fitted on cores of Zen 3 and Emerald Rapids
#: (2026-11).
EXIT = 20e-9

#: Seconds that an element of one column takes beyond those of a vector, where it is multiplied alone; likewise.
SINGLE = 0.7e-9

#: How much longer a vector operation takes than in a panel, where a row's results stay in registers.
SLOWER = {"panel": 1.0, "pairs": 1.0, "column": 1.0, "scatter": 2.0}


def roofline(isa: str, family: str, element: str) -> Model:
    """The model of a family of variants (:class:`~pith.tuning.variants.Variant`) on an instruction set.

    Example:
        >>> wide, narrow = (roofline(isa, "dense", "f32").coefficients["multiply"] for isa in ("avx512", "avx2"))
        >>> round(narrow / wide, 6)
        2.0
    """
    computed = family.partition(":")[2] or ("f32" if ELEMENT_BYTES[element] < 4 else element)  # what sums are kept in
    target = parse_isa(isa)
    lanes = target.vector_bytes / ELEMENT_BYTES[computed]
    rate = (FMA_PER_CYCLE if target.fma else WITHOUT_FMA) * CLOCK * lanes
    if family.startswith("dense") or family == "whole":
        return _dense(rate, target, family, element)
    if family in ("tiles", "dots"):
        read = 1 / MEMORY_RATE
        sizes = {"stored": 1 / L2_RATE, "pack": 2 * read, "result": 2 * read}
        gain = target.dot_gain(element)
        rate = rate * gain * DOT_SHARE if family == "dots" else AMX_RATE * (2 if element == "i8" else 1)
        return Model({"call": CALL, "multiply": 1 / rate, "expand": EXPAND, **sizes})
    issue, load, slower = 1 / (FMA_PER_CYCLE * CLOCK), 1 / (LOADS_PER_CYCLE * CLOCK), SLOWER[family]
    sparse = {
        "call": CALL,
        "multiply": slower * issue,
        "load": slower * (load - issue),
        "far": 1 / (8 * L2_RATE),
        "ragged": issue,
        "single": SINGLE,
        "broadcast": load,
        "coordinate": slower * load,
        "loop": TRIP,
        "accumulate": ACCUMULATE,
        "exit": EXIT,
        "stored": 1 / L2_RATE,
        "memory": 1 / MEMORY_RATE - 1 / L2_RATE,
        "pack": 1 / MEMORY_RATE,
        "result": 2 / MEMORY_RATE,
    }
    if family == "column":  # elements are multiplied a vector at a time, and read once, from memory
        sparse |= {"multiply": load / lanes, "load": 0.0, "broadcast": 0.0, "stored": 1 / MEMORY_RATE, "memory": 0.0}
    return Model(sparse)


def _library_rate(isa: Isa, element: str) -> float:
    """Multiply-adds a second of the library's dense product of 16-bit floats or bytes, as they are."""
    if isa.amx_bf16 and element in ("bf16", "i8"):
        return AMX_RATE * (2 if element == "i8" else 1)
    gain = isa.dot_gain(element)
    return DENSE_SHARE * FMA_PER_CYCLE * CLOCK * isa.vector_bytes / 4 * gain if gain else SCALAR_RATE


def _dense(rate: float, isa: Isa, family: str, element: str) -> Model:
    multiply = 1 / (DENSE_SHARE * rate)
    if family == "dense" and element in ("f16", "bf16", "i8"):
        multiply = 1 / _library_rate(isa, element)
    elif family == "dense" and element in ("i32", "i64"):
        multiply = 1 / SCALAR_RATE
    read = 1 / MEMORY_RATE
    return Model(
        {
            "call": CALL,
            "memory": 0.0,  # all is taken to come from there
            "multiply": multiply,
            "vector": max(read, multiply / ELEMENT_BYTES[element]),  # a multiply-add per element that is read
            "weights": read,
            "narrow": read,
            "operand": 2 * read,
            "result": 2 * read,
        }
    )
