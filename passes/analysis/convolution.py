"""Analysis: convolutions, sums of products of filters and what they meet of an image (IR -> dataclass)."""

from __future__ import annotations

import dataclasses
import math

from pith._mlir import ir
from pith.dialect import encoding_of
from pith.dialect.tiling import dims_of
from pith.formats.matrix_view import Digit, MatrixView, matrix_view

from .dynamic import ATTRIBUTE
from .multiply_add import multiplies_inputs
from .structured import Structured, dim_positions
from .traversal import defining_op

#: Windows of one image that would be larger are not unfolded. Most are never written: kernels read them from the image
#: while they pack. What stays a convolution is summed element by element: 32 filters of 64x3x3 on eight images of
#: 128x128 take 154 ms, and 78 as a product (torch 78; one core of Emerald Rapids beside other work, 2026-11-22).
MOST_BYTES = 1 << 31

#: Element types of the factors and of the sums.
_SUMMED = {("f32", "f32"), ("f64", "f64"), ("bf16", "f32"), ("f16", "f32")}

DYNAMIC = ir.ShapedType.get_dynamic_size()


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A sum of products of an image, read at sums of loops, and filters, dense or stored.

    Attributes:
        op: the structured op.
        image: which input is read so; ``filters``: the loops of the other one, ``out``: of the result.
        alone: loops of the image and the result that are a dimension of both: images, groups; but single images.
        places: other loops of both.
        window: what is summed up, in the order in which filters hold it: parts of loops.
        view: stored filters as a matrix; None of dense ones.
        sizes: of all loops; those of images and places may be dynamic.
    """

    op: Structured
    image: int
    filters: list[int]
    out: list[int]
    alone: list[int]
    places: list[int]
    window: list[Digit]
    view: MatrixView | None
    sizes: list[int]

    @property
    def row(self) -> int:
        """The loop over filters."""
        return next(d for d in self.out if d in self.filters and d not in self.alone)

    @property
    def weights(self) -> ir.Value:
        """The filters."""
        return self.op.inputs[1 - self.image]

    @classmethod
    def of(cls, op: Structured) -> Convolution | None:
        """``op`` as a convolution, or None when it is none that can be unfolded."""
        if not _adds_products(op):
            return None
        dims = [dim_positions(m) for m in op.maps]
        summed = [i for i in (0, 1) if None in dims[i]]
        if len(summed) != 1 or None in dims[1 - summed[0]] or None in dims[2]:
            return None
        image, (filters, out) = summed[0], ([d for d in dims[i] if d is not None] for i in (1 - summed[0], 2))
        sizes = _sizes(op, op.inputs[1 - image], filters, out)
        window = _window(op, op.inputs[1 - image], filters, sizes)
        if window is None or encoding_of(op.inputs[image].type) is not None:
            return None
        (digits, view), summed = window, [d for d in filters if op.iterators[d] == "reduction"]
        rows = [d for d in filters if d not in summed and d not in dims[image]]
        places = [d for d in out if d not in rows and d not in dims[image]]
        alone = [d for d in out if d in dims[image] and (d in filters or sizes[d] != 1)]
        found = cls(op, image, filters, out, alone, places, digits, view, sizes)
        reduced = {d for d, kind in enumerate(op.iterators) if kind == "reduction"}
        plain = len(rows) == 1 and reduced == set(summed) and rows[0] not in _loops(op.maps[image])
        together = _is_run(places, out) and (view is not None or _is_run(summed, filters))
        return found if plain and together and digits and found._fits() else None

    def _fits(self) -> bool:
        """Sizes of filters are known, and windows are not too large, as far as that is."""
        if any(self.sizes[d] == DYNAMIC for d in self.filters):
            return False
        if any(self.padding_of(d) and self._dim_of(d.dim) is None for d in self.window):
            return False
        places = (1 if self.sizes[d] == DYNAMIC else self.sizes[d] for d in self.places)
        sizes = (*places, *(d.size for d in self.window))
        elements = math.prod(sizes) if all(self.sizes[d] for d in self.alone) else 0
        return 0 < elements * self.weights.type.element_type.width // 8 <= MOST_BYTES

    def padding_of(self, digit: Digit) -> int:
        """How far stored filters reach beyond the size of a digit's loop."""
        reach = sum((d.size - 1) * d.step for d in self.window if d.dim == digit.dim) + 1
        return max(0, reach - self.sizes[digit.dim])

    def _dim_of(self, loop: int) -> int | None:
        """The dimension of the image that is ``loop`` alone, or None."""
        dims = dim_positions(self.op.maps[self.image])
        return dims.index(loop) if loop in dims else None

    def paddings(self) -> dict[int, int]:
        """Dimension of the image -> elements behind its last one that stored filters have zeros for."""
        found = {self._dim_of(d.dim): self.padding_of(d) for d in self.window}
        return {dim: size for dim, size in found.items() if dim is not None and size}


def _adds_products(op: Structured) -> bool:
    """Whether it adds up products of floats; no dense factor is the copy of a stored tensor, or quantised."""
    operands = (*op.inputs, *op.inits)
    if len(operands) != 3 or "reduction" not in op.iterators or ATTRIBUTE in op.op.operation.attributes:
        return False
    image, filters, out = (str(getattr(v.type, "element_type", "")) for v in operands)
    if image != filters or (image, out) not in _SUMMED or not multiplies_inputs(op.body, "arith.extf"):
        return False
    return all(defining_op(v, "pith.decompress", "pith.dequantize", "pith.dequantize_rows") is None for v in op.inputs)


def _window(
    op: Structured, weights: ir.Value, filters: list[int], sizes: list[int]
) -> tuple[list[Digit], MatrixView | None] | None:
    """What is summed up, and stored filters as a matrix; None where these are no matrix of one filter a row."""
    fmt = encoding_of(weights.type)
    if fmt is None:
        summed = (d for d in filters if op.iterators[d] == "reduction")
        return [Digit(d, 1, sizes[d]) for d in summed if sizes[d] != 1], None
    if op.iterators[filters[0]] != "parallel" or any(op.iterators[d] != "reduction" for d in filters[1:]):
        return None
    view = matrix_view(fmt, [sizes[d] for d in filters])
    return None if view is None else ([dataclasses.replace(d, dim=filters[d.dim]) for d in view.digits], view)


def _sizes(op: Structured, weights: ir.Value, filters: list[int], out: list[int]) -> list[int]:
    """Trip counts of the loops: those of the filters and of the result are all."""
    sizes = [1] * len(op.iterators)
    for value, dims in ((op.inits[0], out), (weights, filters)):
        for d, size in zip(dims, value.type.shape):
            sizes[d] = size
    return sizes


def _loops(map_: ir.AffineMap) -> set[int]:
    """Loops that an operand is read along."""
    return {d for e in map_.results for d in dims_of(e)}


def _is_run(some: list[int], dims: list[int]) -> bool:
    """Whether ``some`` follow each other in ``dims``."""
    return bool(some) and dims[dims.index(some[0]) :][: len(some)] == some
