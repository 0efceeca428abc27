"""Products with a structured weight for the GPU tests: data, programs, emulated runs and float64 references."""

import functools

import gpu_programs
import ml_dtypes
import numpy as np
import pith
from pith import dialect

NUMPY = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i8": np.int8}
#: ||out - ref|| / ||ref|| per type of the result; sums are f32 (i32 for bytes, exact) whatever the inputs are.
TOLERANCE = {"f32": 1e-6, "f16": 1e-3, "bf16": 8e-3, "i32": 0}


def random(rng, shape, element):
    """Normal values, or small integers for bytes."""
    if element == "i8":
        return rng.integers(-20, 21, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(NUMPY[element])


def weight(rng, text, shape, element, density=0.4):
    """A matrix that the format ``text`` can hold; lists and bitmaps hold ``density`` of the blocks."""
    fmt, dense = pith.HSS.parse(text), random(rng, shape, element)
    if "*" in text or "bitmask" in text:
        height, width = fmt.ranks[-1].block
        blocks = rng.random((-(-shape[0] // height), -(-shape[1] // width))) < density
        kept = np.kron(blocks, np.ones((height, width), bool))[: shape[0], : shape[1]]
        dense = np.where(kept, dense, np.zeros_like(dense))
    return pith.prune(dense, fmt)


def source(text, shape, *, element="f16", out="f32", transposed=False, expand=False):
    """``A @ B``, or ``B @ A^T``, with A in format ``text``; ``expand``: on tiles, whatever else could be done."""
    with dialect.make_context():
        program = gpu_programs.hss_matmul(text, shape, element=element, out=out, transposed=transposed)
    if out == "i32":
        program = program.replace("arith.constant 0.0", "arith.constant 0")
    if expand:
        program = program.replace(" ins(%a, %b", " {pith.expand} ins(%a, %b").replace(
            " ins(%b, %a", " {pith.expand} ins(%b, %a"
        )
    return program


@functools.cache
def compiled(program):
    """The emulated program."""
    return pith.compile(program, target="emulate:sm_90")


def run(text, shape, *, element="f16", out="f32", transposed=False, columns=13, density=0.4, expand=False):
    """(result of the emulated program, float64 reference) of a random weight."""
    rng = np.random.default_rng([*shape, columns])
    w = weight(rng, text, shape, element, density)
    x = random(rng, (columns, shape[1]) if transposed else (shape[1], columns), element)
    return run_on(w, x, text, out, transposed, expand=expand), reference(w, x, transposed)


def run_on(w, x, text, out, transposed, expand=False):
    """The emulated product of a weight that ``text`` can hold, and ``x``."""
    element = next(name for name, dtype in NUMPY.items() if dtype == w.dtype)
    program = source(text, w.shape, element=element, out=out, transposed=transposed, expand=expand)
    return np.asarray(compiled(program)(pith.compress(w, pith.HSS.parse(text)), x))


def reference(w, x, transposed):
    """The same in float64."""
    wide, other = w.astype("f8"), x.astype("f8")
    return other @ wide.T if transposed else wide @ other


def note_of(program):
    """What the explanation says of the product of a program."""
    return next(launch.note for launch in compiled(program).program.launches if launch.note)


def feed_of(program):
    """How the encoded operand of a program is fed, by its explanation."""
    return note_of(program).split("; ")[-1].split(":")[0].split()[1]
