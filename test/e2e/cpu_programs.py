"""Programs, operands and tolerances shared by the end-to-end tests of the CPU path."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pith
from pith.compiler.kernel import Kernel, compile_source
from pith.formats import Format
from pith.formats.attribute import format_attribute
from pith.lowering.isa import HOST

#: The three ways down: templates where they are faster, upstream's code generator, never upstream.
PATHS = ("auto", "sparsifier", "loops")

#: Element type -> NumPy dtype.
DTYPES = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
}

#: Largest ||out - ref|| / ||ref|| (Frobenius) against float64; integers are exact.
TOLERANCE = {"f16": 2e-3, "bf16": 2e-2, "f32": 1e-5, "f64": 1e-13}


def check(out: Any, ref: np.ndarray, element: str) -> None:
    """Shape and values of a result against a float64 (or exact integer) reference."""
    out = np.asarray(out)
    assert out.shape == ref.shape
    if element not in TOLERANCE:
        np.testing.assert_array_equal(out, ref)
        return
    wide = out.astype(np.float64)
    norm = float(np.linalg.norm(ref))
    assert np.isfinite(wide).all()
    assert float(np.linalg.norm(wide - ref)) <= TOLERANCE[element] * norm


def wide(x: np.ndarray) -> np.ndarray:
    """The array in the arithmetic of the reference: float64, or int64 for integers."""
    return x.astype(np.int64 if x.dtype.kind == "i" else np.float64)


def random_dense(rng: np.random.Generator, shape: Sequence[int], element: str) -> np.ndarray:
    """No zeros; small integers for integer types."""
    dtype = DTYPES[element]
    if dtype.kind == "i":
        return rng.choice([-3, -2, -1, 1, 2, 3], tuple(shape)).astype(dtype)
    return (rng.choice([-1.0, 1.0], tuple(shape)) * rng.uniform(0.5, 2, tuple(shape))).astype(dtype)


def random_sparse(
    rng: np.random.Generator, shape: Sequence[int], element: str, fmt: Format, density: float = 0.4
) -> np.ndarray:
    """A dense array that obeys ``fmt``."""
    x = random_dense(rng, shape, element)
    return pith.prune(np.where(rng.random(tuple(shape)) < density, x, np.zeros_like(x)), fmt)


def poisoned(shape: Sequence[int], element: str) -> np.ndarray:
    """An output whose old content must not matter: NaN, or the least integer."""
    dtype = DTYPES[element]
    if dtype.kind == "i":
        return np.full(tuple(shape), np.iinfo(dtype).min, dtype)
    return np.full(tuple(shape), np.nan).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Operand:
    """A tensor operand of a program: shape (-1: dynamic), element type, map from the loops, format."""

    shape: tuple[int, ...]
    element: str
    map: str
    format: Format | None = None

    @property
    def type(self) -> str:
        sizes = "".join("?x" if s < 0 else f"{s}x" for s in self.shape)
        encoding = "" if self.format is None else f", {format_attribute(self.format)}"
        return f"tensor<{sizes}{self.element}{encoding}>"


def generic(loops: str, kinds: str, inputs: Sequence[Operand], out: Operand, body: str) -> str:
    """A function ``@f(inputs..., init)`` of one ``linalg.generic``.

    Args:
        loops: names of the loops, ``"i, j, k"``.
        kinds: one letter per loop, ``p``\\ arallel or ``r``\\ eduction.
        body: ops on ``%b0``, ``%b1``, ... and the output ``%o``, up to the yield.
    """
    operands = [*inputs, out]
    maps = ", ".join(f"affine_map<({loops}) -> ({o.map})>" for o in operands)
    iterators = ", ".join({"p": '"parallel"', "r": '"reduction"'}[k] for k in kinds)
    arguments = ", ".join(f"%a{i}: {o.type}" for i, o in enumerate(inputs))
    ins = ", ".join(f"%a{i}" for i in range(len(inputs)))
    types = ", ".join(o.type for o in inputs)
    scalars = "".join(f"%b{i}: {o.element}, " for i, o in enumerate(inputs))
    return f"""func.func @f({arguments}, %init: {out.type}) -> {out.type} {{
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{iterators}]}}
      ins({ins} : {types}) outs(%init : {out.type}) {{
  ^bb0({scalars}%o: {out.element}):
    {body}
  }} -> {out.type}
  return %r : {out.type}
}}
"""


def multiply_add(element: str) -> str:
    """Body of a product that accumulates: ``o + b0 * b1``."""
    kind = "i" if element.startswith("i") else "f"
    return f"""%p = arith.mul{kind} %b0, %b1 : {element}
    %q = arith.add{kind} %o, %p : {element}
    linalg.yield %q : {element}"""


def kernel(source: str, path: str = "auto", isa: str = HOST) -> Kernel:
    """The compiled ``@f`` of a program."""
    return compile_source(source, "f", path=path, isa=isa)
