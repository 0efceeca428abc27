"""Running a dynamic product one way: dense, packed into a format, or gathered in place."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.kernel import compile_source
from ...formats import Format
from ...formats.attribute import format_attribute
from ...patterns.finding import kernel_for
from ...runtime import dtype_name, num_threads, numpy_dtype
from ...runtime.arrays import empty_array
from ...sparse import SparseTensor, as_format
from ..einsum.arguments import axes_of
from ..einsum.nest import Listed
from .dense import dense_multiplier
from .ir import dynamic_source
from .sampling import COLUMNS, ROWS

Tile = tuple[int, ...]

#: ``attempt(left operand, right operand, most, out)`` writes the product where no more than ``most`` micro-tiles hold
#: anything, and else nothing; it returns how many do.
Attempt = Callable[[np.ndarray, np.ndarray, int, np.ndarray], int]


@dataclasses.dataclass(frozen=True, slots=True)
class Product:
    """``x @ y``, or ``y @ x`` on the right.

    Attributes:
        x: the sparse operand: a row-major matrix.
        y: the dense operand: a matrix.
        side: of the sparse operand.
    """

    x: np.ndarray
    y: np.ndarray
    side: str

    @property
    def extents(self) -> tuple[int, int, int]:
        """Rows and columns of the sparse operand, then the free dimension of the dense one."""
        return (*self.x.shape, self.y.shape[1 if self.side == "left" else 0])

    @property
    def shape(self) -> tuple[int, int]:
        """Of the result."""
        (rows, columns), free = self.x.shape, self.extents[2]
        return (rows, free) if self.side == "left" else (free, columns)

    @property
    def is_row_major(self) -> bool:
        """Both operands are."""
        return self.x.flags.c_contiguous and self.y.flags.c_contiguous

    @property
    def dtype(self) -> np.dtype:
        """Of the result: bytes are summed in i32."""
        return numpy_dtype("i32") if self.x.dtype.kind == "i" else self.x.dtype

    def result(self) -> np.ndarray:
        """Memory for the result."""
        rows, columns = self.shape
        return empty_array((rows, columns), self.dtype)


def run_dense(p: Product, out: np.ndarray, way: str, bias: np.ndarray | None = None) -> None:
    """The dense product, by the library or by pith's own kernel."""
    dense_multiplier(dtype_name(p.x.dtype), way)(*((p.x, p.y) if p.side == "left" else (p.y, p.x)), out, bias)


def cells_of(tile: Tile) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes that a micro-tile's pattern has, and its elements along each."""
    if tile in (ROWS, COLUMNS):
        return ((0 if tile == ROWS else 1),), (1,)
    return (0, 1), tile


def cells_in(p: Product, tile: Tile) -> int:
    """Micro-tiles of the sparse operand, empty ones included."""
    axes, extents = cells_of(tile)
    return math.prod(-(-p.x.shape[d] // n) for d, n in zip(axes, extents))


def in_place(p: Product, tile: Tile) -> Attempt:
    """Finds the micro-tiles and gathers them from where they lie, in one kernel; for operands like those of ``p``.

    Between two products the caches hold nothing of the interpreter: a second kernel, and the list on its way from one
    to the other, took 0.1 to 0.2 ms (1024^3 f32 with 11 % of the rows 4.0 ms, with 1 % 1.4; 2026-11-22, AVX2).
    """
    left, transposed = p.side == "left", p.y.flags.f_contiguous and not p.y.flags.c_contiguous
    sparse, other = ("mk", "kn") if left else ("kn", "mk")
    axes, extents = cells_of(tile)
    listed = axes_of("".join(sparse[d] for d in axes), extents)
    other = other[::-1] if transposed else other
    operands = (sparse, other) if left else (other, sparse)
    kernel = _kernel_in_place(operands, 0 if left else 1, listed, dtype_name(p.x.dtype))
    if not transposed:
        return kernel

    def attempt(a: np.ndarray, b: np.ndarray, most: int, out: np.ndarray) -> int:
        return kernel(a, b.T, most, out) if left else kernel(a.T, b, most, out)

    return attempt


@functools.cache
def _kernel_in_place(operands: tuple[str, str], sparse: int, listed: Listed, element: str) -> Any:
    return compile_source(dynamic_source(operands, sparse, listed, element), "dynamic").native


def packs(side: str, tile: Tile) -> bool:
    """Whether a micro-tile is packed row by row into a format; by columns takes ten times as long."""
    return 0 not in tile and (side == "left" or tile[0] == 1)


def packed(p: Product, tile: Tile) -> Attempt:
    """Packs the micro-tiles into a format, then multiplies by the panel kernel for it; for operands like those of
    ``p``."""
    shape, columns, right = p.x.shape, p.extents[2], p.side == "right"
    fmt = tile_format(tile, p.side, tuple(n % t == 0 for n, t in zip(shape, tile)))
    transposed = p.y.flags.f_contiguous and not p.y.flags.c_contiguous
    element, cells = dtype_name(p.x.dtype), cells_in(p, tile)
    locate = kernel_for(p.x, *cells_of(tile), None, False)
    pack = _pack_kernel(fmt, element).native

    def attempt(a: np.ndarray, b: np.ndarray, most: int, out: np.ndarray) -> int:
        x, y = (b, a) if right else (a, b)
        count = len(locate(x, 0.0))
        if count <= most:
            buffers = pack(x)[:-2]
            key = (element, _step(count / cells), num_threads())
            kernel = _product_kernel(fmt, shape, columns, right, transposed, key, _Once(buffers))
            kernel.native(*buffers, *shape, y.T if transposed else y, out)
        return count

    return attempt


@functools.cache
def tile_format(tile: Tile, side: str, divides: tuple[bool, bool]) -> Format:
    """The format of a micro-tile: blocks in compressed rows, or, on the right, in compressed columns of blocks.

    >>> print(tile_format((8, 1), "left", (True, True)))
    d0 floordiv 8 : dense, d1 : compressed, d0 mod 8 : dense
    """
    rows, columns = tile
    if rows == columns == 1:
        return Format.csr()
    if columns == 1:
        text = f"d0 floordiv {rows} : dense, d1 : compressed, d0 mod {rows} : dense"
    elif side == "left":
        text = f"d0 : dense, d1 floordiv {columns} : compressed, d1 mod {columns} : dense"
    else:
        text = f"d1 floordiv {columns} : dense, d0 : compressed, d1 mod {columns} : dense"
    return as_format(text if all(divides) else f"{text} pad")[0].with_widths(32, 32, 0)


class _Once:
    """An argument that a cache does not look at."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=1024)
def _product_kernel(
    fmt: Format, shape: tuple[int, int], columns: int, right: bool, transposed: bool, key: tuple, first: _Once
) -> Any:
    """The panel kernel for an element type, class of densities and number of threads (``key``); decided by the first
    tensor of the class."""
    from ..matmul.plan import plan_of

    buffers, first.value = first.value, None
    return plan_of(SparseTensor(shape, fmt, tuple(buffers)), columns, right, "sparse", transposed).kernel


def _step(density: float) -> int:
    return round(4 * math.log2(max(density, 1e-5)))


@functools.cache
def _pack_kernel(fmt: Format, element: str) -> Any:
    dense, encoded = f"tensor<?x?x{element}>", f"tensor<?x?x{element}, #fmt>"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @pack(%w: {dense}) -> {encoded} {{
  %packed = "pith.compress"(%w) : ({dense}) -> {encoded}
  return %packed : {encoded}
}}
"""
    return compile_source(source, "pack")


def above(x: np.ndarray, threshold: float) -> np.ndarray:
    """A copy of a matrix with zeros where the magnitude is not above a threshold; NaN stays."""
    return _above_kernel(dtype_name(x.dtype)).native(x, threshold)


@functools.cache
def _above_kernel(element: str) -> Any:
    type_ = f"tensor<?x?x{element}>"
    same = "#map = affine_map<(i, j) -> (i, j)>"
    of_bytes = element == "i8"
    compared = "%x" if element == "f64" else "%wide"
    widening, zero = ("sitofp", "0") if of_bytes else ("extf", "0.0")
    widen = "" if element == "f64" else f"  %wide = arith.{widening} %x : {element} to f64\n"
    source = f"""{same}
func.func @above(%a: {type_}, %limit: f64) -> {type_} {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %rows = tensor.dim %a, %zero : {type_}
  %columns = tensor.dim %a, %one : {type_}
  %none = arith.constant {zero} : {element}
  %empty = tensor.empty(%rows, %columns) : {type_}
  %r = linalg.generic {{indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}}
      ins(%a : {type_}) outs(%empty : {type_}) {{
  ^bb0(%x: {element}, %o: {element}):
  {widen}    %size = math.absf {compared} : f64
    %keep = arith.cmpf ugt, %size, %limit : f64
    %v = arith.select %keep, %x, %none : {element}
    linalg.yield %v : {element}
  }} -> {type_}
  return %r : {type_}
}}
"""
    return compile_source(source, "above")
