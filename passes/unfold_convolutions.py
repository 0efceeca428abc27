"""``pith-unfold-convolutions``: convolutions as matrix products of the windows that filters meet."""

import dataclasses
import math
from typing import ClassVar

from pith._mlir import arith, ir, tensor
from pith.dialect.tiling import dims_of

from .analysis.dynamic import ATTRIBUTE
from .analysis.products import is_dense_product
from .analysis.structured import Structured, dim_positions, structured_ops
from .core import Pass
from .fold_copies import reads_encoded
from .generic import generic

#: Windows that would be larger stay where they are: a filter of 3x3 copies every element of the image nine times.
#: Where the number of images is dynamic, those of one image.
MOST_BYTES = 1 << 28

_DYNAMIC = ir.ShapedType.get_dynamic_size()


@dataclasses.dataclass(frozen=True)
class UnfoldConvolutionsPass(Pass):
    """Copy what every place of the result sees of an image side by side, and multiply it with the filters.

    Before::

        %y = linalg.generic {maps = [(n, f, y, x, c, r, s) -> (n, c, y + r, x + s), (...) -> (f, c, r, s),
                                     (...) -> (n, f, y, x)]} ins(%x, %w) outs(%o) { mulf, addf }

    After::

        %windows = linalg.generic {maps = [(n, c, r, s, y, x) -> (n, c, y + r, x + s), identity]} ins(%x)
        %p = linalg.generic {maps = [(n, f, p, k) -> (n, k, p), (n, f, p, k) -> (f, k), (n, f, p, k) -> (n, f, p)]}
             ins(%windows', %w') outs(%o') { mulf, addf }

    The product is one that the kernels of dense products are made for. Any strides, dilations and order of dimensions;
    groups are a batch of products. How many images there are may be known at run time only.

    Requires: tensors; run it after copies have been folded into products (``pith-fold-copies``), which would undo it.
    Preserves: everything else, results up to the order of sums. Does not do: encoded operands; one filter per group
    (loops along rows of the image are faster: a product would reuse nothing of its windows); elements other than f32
    and f64; other sizes that only run time knows; windows of more than 256 MB. Cost: linear; at run time a copy as
    large as the windows, each element of which feeds two operations per filter.
    """

    name: ClassVar[str] = "pith-unfold-convolutions"

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                convolution = _Convolution.of(op)
                if convolution is not None:
                    with ir.InsertionPoint(op.op), op.op.operation.location:
                        new = convolution.unfold()
                    op.op.operation.results[0].replace_all_uses_with(new)
                    op.op.operation.erase()


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """A sum of products of an image, read at sums of loops, and filters.

    Attributes:
        image: which input is read so; ``filters``: the loops of the other one, ``out``: of the result.
        alone: loops of the image and the result that are a dimension of both: images, groups.
        places: other loops of both; ``window``: loops that are summed up, in the order of the filters.
        sizes: of all loops; those of images may be dynamic.
    """

    op: Structured
    image: int
    filters: list[int]
    out: list[int]
    alone: list[int]
    places: list[int]
    window: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, op: Structured) -> "_Convolution | None":
        """``op`` as a convolution, or None when it is none that can be unfolded."""
        if not _is_product(op):
            return None
        dims = [dim_positions(m) for m in op.maps]
        summed = [i for i in (0, 1) if None in dims[i]]
        if len(summed) != 1 or None in dims[1 - summed[0]] or None in dims[2]:
            return None
        image, (filters, out) = summed[0], ([d for d in dims[i] if d is not None] for i in (1 - summed[0], 2))
        window = [d for d in filters if op.iterators[d] == "reduction"]
        rows = [d for d in filters if d not in window and d not in dims[image]]
        places = [d for d in out if d not in rows and d not in dims[image]]
        alone = [d for d in out if d in dims[image]]
        sizes = _sizes(op, op.inputs[1 - image], filters, out)
        if any(sizes[d] == _DYNAMIC for d in (*rows, *places, *window, *(d for d in alone if d in filters))):
            return None
        found = cls(op, image, filters, out, alone, places, window, sizes)
        reduced = {d for d, kind in enumerate(op.iterators) if kind == "reduction"}
        plain = len(rows) == 1 and reduced == set(window) and rows[0] not in _loops(op.maps[image])
        together = _is_run(places, out) and _is_run(window, filters)
        return found if plain and together and found._fits() else None

    def _fits(self) -> bool:
        element = self.op.inits[0].type.element_type
        static = (self.sizes[d] for d in (*self.alone, *self.window, *self.places) if self.sizes[d] != _DYNAMIC)
        count = math.prod(static)
        return 0 < count * element.width // 8 <= MOST_BYTES

    def unfold(self) -> ir.Value:
        """Emit the copy and the product at the insertion point; returns the result."""
        others = [d for d in self.out if d not in self.places]
        numbers = {d: i for i, d in enumerate(others)}
        place, summed = len(others), len(others) + 1
        filters = [self._merged(self.filters, self.window), self._merged(self.out, self.places)]
        new = [numbers.get(d, summed) for d in self._first(self.filters, self.window)]
        out = [numbers.get(d, place) for d in self._first(self.out, self.places)]
        windows = [*(numbers[d] for d in self.alone), summed, place]
        weights, init = self.op.inputs[1 - self.image], self.op.inits[0]
        flat = [_collapsed(weights, filters[0]), _collapsed(init, filters[1])]
        kinds = ["parallel"] * summed + ["reduction"]
        loops = [[ir.AffineExpr.get_dim(d) for d in dims] for dims in (windows, new, out)]
        maps = [ir.AffineMap.get(len(kinds), 0, dims) for dims in loops]
        product = generic([self._windows(), flat[0]], flat[1], maps, kinds, _add_up)
        if product.type == init.type:
            return product
        sizes = [_dim(init, i) for i in range(init.type.rank) if init.type.is_dynamic_dim(i)]
        return tensor.expand_shape(init.type, product, filters[1], sizes, list(init.type.shape))

    def _windows(self) -> ir.Value:
        """What every place sees: ``(images, window, places)``, the last two flat."""
        loops = [*self.alone, *self.window, *self.places]
        source, image = self.op.maps[self.image], self.op.inputs[self.image]
        renumbered = [ir.AffineExpr.get_dim(loops.index(d) if d in loops else 0) for d in range(source.n_dims)]
        turned = ir.AffineMap.get(len(loops), 0, renumbered)
        read = [e.compose(turned) for e in source.results]
        empty = tensor.empty([self._size(d) for d in loops], image.type.element_type)
        maps = [ir.AffineMap.get(len(loops), 0, read), ir.AffineMap.get_identity(len(loops))]
        copied = generic([image], empty, maps, ["parallel"] * len(loops), lambda x, _: x)
        lead, within = len(self.alone), len(self.alone) + len(self.window)
        groups = [[d] for d in range(lead)] + [list(range(lead, within)), list(range(within, len(loops)))]
        return _collapsed(copied, groups)

    def _size(self, loop: int) -> ir.Value | int:
        """The trip count of a loop, read off the result at the insertion point where only run time knows it."""
        return self.sizes[loop] if self.sizes[loop] != _DYNAMIC else _dim(self.op.inits[0], self.out.index(loop))

    @staticmethod
    def _merged(dims: list[int], merged: list[int]) -> list[list[int]]:
        """The dimensions of an operand, those of the loops ``merged`` as one."""
        groups: list[list[int]] = []
        for i, d in enumerate(dims):
            if d in merged[1:]:
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups

    @staticmethod
    def _first(dims: list[int], merged: list[int]) -> list[int]:
        return [d for d in dims if d not in merged[1:]]


def _is_product(op: Structured) -> bool:
    """Whether it adds up products of dense operands of f32 or f64."""
    marked = ATTRIBUTE in op.op.operation.attributes
    return is_dense_product(op) and not marked and not any(map(reads_encoded, op.inputs))


def _dim(value: ir.Value, position: int) -> ir.Value:
    return tensor.dim(value, arith.constant(ir.IndexType.get(), position))


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


def _add_up(x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
    return arith.addf(total, arith.mulf(x, y))


def _collapsed(value: ir.Value, groups: list[list[int]]) -> ir.Value:
    if all(len(g) == 1 for g in groups):
        return value
    sizes = value.type.shape
    shape = [sizes[g[0]] if len(g) == 1 else math.prod(sizes[d] for d in g) for g in groups]
    return tensor.collapse_shape(ir.RankedTensorType.get(shape, value.type.element_type), value, groups)
