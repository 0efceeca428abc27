"""``pith-unfold-convolutions``: convolutions as matrix products of the windows that filters meet."""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

from pith._mlir import arith, ir, tensor
from pith.dialect import AssembleOp, DisassembleOp, encoded_type
from pith.dialect.tiling import bare_dim

from .analysis.convolution import DYNAMIC, Convolution
from .analysis.structured import structured_ops
from .core import Pass
from .generic import generic


@dataclasses.dataclass(frozen=True)
class UnfoldConvolutionsPass(Pass):
    """Put what every place of the result sees of an image side by side, and multiply it with the filters.

    Before::

        %y = linalg.generic {maps = [(n, f, y, x, c, r, s) -> (n, c, y + r, x + s), (...) -> (f, c, r, s),
                                     (...) -> (n, f, y, x)]} ins(%x, %w) outs(%o) { mulf, addf }

    After::

        %windows = linalg.generic {maps = [(n, c, r, s, y, x) -> (n, c, y + r, x + s), identity]} ins(%x)
        %p = linalg.generic {maps = [(n, f, p, k) -> (n, k, p), (n, f, p, k) -> (f, k), (n, f, p, k) -> (n, f, p)]}
             ins(%windows', %w') outs(%o') { mulf, addf }

    The product is one that the kernels of products are made for; they read windows from the image while they pack
    them. Any strides, dilations and order of dimensions; groups are a batch of products. How many images there are,
    and how large they are, may be known at run time only; a single image is no loop of the product. Windows of one
    element are no copy where they are the image.

    Stored filters are a matrix over the same buffers (``pith.disassemble``, ``pith.assemble``) in the order in which
    they are stored: of ``R->S->C1->C0(2:4)`` the product's ``k`` is ``(r, s, c)``. Where they are padded, so is the
    image. Factors of f16 and bf16 are added up in f32.

    Requires: tensors; run it after copies have been folded into products (``pith-fold-copies``), which would undo it.
    Preserves: everything else, results up to the order of sums. Does not do: one filter per group
    (``convert-linalg-contractions-to-panels`` has a kernel: a product would reuse nothing of its windows); integers;
    channels and windows that only run time knows; windows that are known to be more than 2 GB an image; stored filters
    of groups.
    Cost: linear; where a kernel does not pack windows itself, a copy as large as they are, each element of which feeds
    two operations per filter.
    """

    name: ClassVar[str] = "pith-unfold-convolutions"

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                convolution = Convolution.of(op)
                if convolution is not None:
                    with ir.InsertionPoint(op.op), op.op.operation.location:
                        new = _unfold(convolution)
                    op.op.operation.results[0].replace_all_uses_with(new)
                    op.op.operation.erase()


def _unfold(c: Convolution) -> ir.Value:
    """Emit windows and product at the insertion point; returns the result."""
    init = c.op.inits[0]
    batches = [d for d in c.out if d == c.row or d in c.alone]
    numbers = {d: i for i, d in enumerate(batches)} | dict.fromkeys(c.places, len(batches))
    summed, place = len(batches) + 1, len(batches)
    groups = _groups(c.out, numbers)
    flat = _collapsed(init, groups)
    filters, own = _filters(c, {d: numbers.get(d, summed) for d in c.filters})
    out = [next(numbers[c.out[i]] for i in group if c.out[i] in numbers) for group in groups]
    loops = [[*(numbers[d] for d in c.alone), summed, place], own, out]
    maps = [ir.AffineMap.get(summed + 1, 0, [ir.AffineExpr.get_dim(d) for d in dims]) for dims in loops]
    kinds = ["parallel"] * summed + ["reduction"]
    product = generic([_windows(c), filters], flat, maps, kinds, _add_up)
    if product.type == init.type:
        return product
    sizes = [_dim(init, i) for i in range(init.type.rank) if init.type.is_dynamic_dim(i)]
    return tensor.expand_shape(init.type, product, groups, sizes, list(init.type.shape))


def _filters(c: Convolution, numbers: dict[int, int]) -> tuple[ir.Value, list[int]]:
    """The filters with a dimension for what is summed up, and which loop of the product each dimension is."""
    if c.view is None:
        groups = _groups(c.filters, numbers)
        return _collapsed(c.weights, groups), [numbers[c.filters[group[0]]] for group in groups]
    matrix = ir.RankedTensorType.get(c.view.shape, c.weights.type.element_type)
    parts = DisassembleOp.build(c.weights).buffers
    stored = AssembleOp.build(encoded_type(matrix, c.view.format), parts).result
    return stored, [numbers[c.row], numbers[c.filters[1]]]


def _windows(c: Convolution) -> ir.Value:
    """What every place sees: ``(images, window, places)``, the last two flat."""
    image, lead = _padded(c), len(c.alone)
    sizes = [*(c.sizes[d] for d in c.alone), *(d.size for d in c.window), *(c.sizes[d] for d in c.places)]
    read = _reads(c)
    groups = [[d] for d in range(lead)]
    groups += [list(range(lead, lead + len(c.window))), list(range(lead + len(c.window), len(sizes)))]
    if (merged := _whole_image(read, sizes, image.type.shape, groups)) is not None:
        return _collapsed(image, merged)
    loops = [*c.alone, *c.window, *c.places]
    known = [_dim(c.op.inits[0], c.out.index(loop)) if s == DYNAMIC else s for loop, s in zip(loops, sizes)]
    maps = [ir.AffineMap.get(len(sizes), 0, read), ir.AffineMap.get_identity(len(sizes))]
    empty = tensor.empty(known, image.type.element_type)
    copied = generic([image], empty, maps, ["parallel"] * len(sizes), lambda x, _: x)
    return _collapsed(copied, groups)


def _reads(c: Convolution) -> list[ir.AffineExpr]:
    """Where the image is read, in loops over images, parts of the window and places; other loops have one step."""
    loops = [*c.alone, *c.window, *c.places]
    values: list[ir.AffineExpr] = [ir.AffineExpr.get_constant(0)] * c.op.maps[c.image].n_dims
    for i, loop in enumerate(loops):
        digit = ir.AffineExpr.get_dim(i)
        if isinstance(loop, int):
            values[loop] = digit
        else:
            values[loop.dim] = values[loop.dim] + digit * loop.step
    turned = ir.AffineMap.get(len(loops), 0, values)
    composed = [e.compose(turned) for e in c.op.maps[c.image].results]
    return list(ir.AffineMap.get(len(loops), 0, composed).results)  # by class: compose() gives plain AffineExprs


def _whole_image(
    read: Sequence[ir.AffineExpr], sizes: Sequence[int], shape: Sequence[int], groups: list[list[int]]
) -> list[list[int]] | None:
    """How the dimensions of an image are those of its windows, where these are it, element by element, else None."""
    loops = [bare_dim(e) for e in read]
    walked = [(loop, size) for loop, size in zip(loops, shape) if loop is not None]
    constant = all(loop is not None or size == 1 for loop, size in zip(loops, shape))
    if not constant or walked != list(enumerate(sizes)):
        return None
    numbers = {loop: number for number, group in enumerate(groups) for loop in group}
    return _groups(loops, numbers)


def _groups(dims: Sequence[int | None], numbers: dict[int, int]) -> list[list[int]]:
    """Positions of ``dims``, neighbours of one number together; those without a number go with what follows."""
    groups: list[list[int]] = []
    last, waiting = None, []
    for i, d in enumerate(dims):
        number = None if d is None else numbers.get(d)
        if number is None:
            waiting.append(i)
        elif number == last:
            groups[-1] += [*waiting, i]
            waiting = []
        else:
            groups.append([*waiting, i])
            last, waiting = number, []
    groups[-1] += waiting
    return groups


def _padded(c: Convolution) -> ir.Value:
    """The image, with zeros where padded filters reach beyond it."""
    image, paddings = c.op.inputs[c.image], c.paddings()
    if not paddings:
        return image
    type_ = image.type
    high = [paddings.get(i, 0) for i in range(type_.rank)]
    shape = [s if s == DYNAMIC else s + more for s, more in zip(type_.shape, high)]
    padded = tensor.PadOp(ir.RankedTensorType.get(shape, type_.element_type), image, [], [], [0] * type_.rank, high)
    block = padded.region.blocks.append(*[ir.IndexType.get()] * type_.rank)
    with ir.InsertionPoint(block):
        tensor.yield_(arith.constant(type_.element_type, 0.0))
    return padded.result


def _dim(value: ir.Value, position: int) -> ir.Value:
    return tensor.dim(value, arith.constant(ir.IndexType.get(), position))


def _add_up(x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
    x, y = (v if v.type == total.type else arith.extf(total.type, v) for v in (x, y))
    return arith.addf(total, arith.mulf(x, y))


def _collapsed(value: ir.Value, groups: list[list[int]]) -> ir.Value:
    if all(len(g) == 1 for g in groups):
        return value
    sizes = value.type.shape
    shape = [DYNAMIC if any(sizes[d] == DYNAMIC for d in g) else math.prod(sizes[d] for d in g) for g in groups]
    return tensor.collapse_shape(ir.RankedTensorType.get(shape, value.type.element_type), value, groups)
