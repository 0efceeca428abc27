"""Analysis: convolutions of every channel by itself, as depthwise ones (IR -> dataclass)."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pith._mlir import ir
from pith.dialect.tiling import bare_dim, dims_of
from pith.passes.analysis.multiply_add import multiplies_inputs
from pith.passes.analysis.padding import unpadded
from pith.passes.analysis.structured import iterator_types

from .. import builder as b
from ..sparse.contraction import indexing_maps, is_generic
from .contraction import is_dense

#: Elements of the largest filter: all multiply-adds of a tile are written out, at most eight lines of them.
MOST_ELEMENTS = 64

#: The largest channel that is copied, on the stack: one of 224x224 f32 is 200 KB.
MOST_BYTES = 1 << 18


_Map = Sequence[ir.AffineExpr]


@dataclasses.dataclass(frozen=True)
class ChannelConvolution:
    """``out[..., y, x] += image[..., y * s + r * d, x * s' + t * d'] * filters[..., r, t]``; of lines or of images.

    Attributes:
        op: the ``linalg.generic``, on tensors.
        image: index of the operand that is read in windows.
        maps: indexing maps of all operands.
        low: how many elements of padding are before the image, per dimension.
        lead: how many dimensions come before those of a window: images, channels.
    """

    op: ir.OpView
    image: int
    maps: tuple[tuple[ir.AffineExpr, ...], ...]
    low: tuple[int, ...]
    lead: int

    @property
    def source(self) -> ir.Value:
        """The image without padding, as it is now: what makes it may be replaced while others are lowered."""
        return _unpadded(self.op.operands[self.image], self.lead)[1]

    @property
    def sources(self) -> list[ir.Value]:
        """The inputs as the kernel reads them."""
        filters = self.op.operands[1 - self.image]
        return [self.source, filters] if self.image == 0 else [filters, self.source]

    @property
    def points(self) -> list[dict[int, int]]:
        """The elements of a filter, a coordinate per reduction loop, column by column."""
        kinds, sizes = iterator_types(self.op), {}
        for e, size in zip(self.maps[1 - self.image], self.op.operands[1 - self.image].type.shape):
            if (d := bare_dim(e)) is not None and kinds[d] == "reduction":
                sizes[d] = size
        return [dict(zip(reversed(sizes), p)) for p in itertools.product(*map(range, reversed(sizes.values())))]

    def offset(self, dim: int, coordinates: Mapping[Any, int]) -> int:
        """Where the image is read in ``dim`` at some coordinates of loops, the others zero."""
        expr = self.maps[self.image][dim]
        found = b.apply(expr, [coordinates.get(d, 0) for d in range(len(iterator_types(self.op)))])
        assert isinstance(found, int)
        return found


def match_channel_convolution(op: ir.OpView) -> ChannelConvolution | None:
    """Recognise a convolution of f32 or f64 in which a channel meets one filter, and a filter one channel."""
    if not is_generic(op) or len(op.operands) != 3 or not len(op.results):
        return None
    elements = {str(v.type.element_type) for v in op.operands if is_dense(v.type)}
    if len(elements) != 1 or not elements <= {"f32", "f64"} or not multiplies_inputs(op.regions[0].blocks[0]):
        return None
    maps = indexing_maps(op)
    windows = [i for i in (0, 1) if any(map(_is_sum, maps[i]))]
    if len(windows) != 1 or not all(is_dense(v.type) for v in op.operands):
        return None
    image = windows[0]
    lead = next(i for i, e in enumerate(maps[image]) if _is_sum(e))
    summed = {d for d, kind in enumerate(iterator_types(op)) if kind == "reduction"}
    if not _is_by_channels(maps[image], maps[1 - image], maps[2], lead, summed):
        return None
    found = ChannelConvolution(op, image, maps, _unpadded(op.operands[image], lead)[0], lead)
    return found if _fits(found) else None


def _is_by_channels(image: _Map, filters: _Map, out: _Map, lead: int, summed: set[int]) -> bool:
    """Dimensions before the window's are those of the result, one by one; filters have some of them, and all sums."""
    dims, own = ([bare_dim(e) for e in map_] for map_ in (out, filters))
    around, spatial = dims[:lead], dims[lead:]
    if None in dims or len(set(dims)) != len(dims) or len(image) != len(dims) or not lead or len(spatial) > 2:
        return False
    if any(_is_sum(e) for e in (*image[:lead], *filters)):
        return False
    met = {d for d in own if d is not None}
    if not summed <= met or not met <= summed | set(around) or summed & set(dims):
        return False
    if any(bare_dim(e) not in (None, d) for e, d in zip(image, around)):
        return False
    return all(_is_linear(e) and set(dims_of(e)) - summed == {d} for e, d in zip(image[lead:], spatial))


def _fits(c: ChannelConvolution) -> bool:
    """Sizes are known, a filter is small, a channel too; places lie on whole lines."""
    image, filters, out = (c.op.operands[i].type for i in (c.image, 1 - c.image, 2))
    shapes = [*image.shape[c.lead :], *c.source.type.shape[c.lead :], *out.shape[c.lead :], *filters.shape]
    dynamic = ir.ShapedType.get_dynamic_size()
    if dynamic in shapes or math.prod(shapes) == 0:
        return False
    step = c.offset(len(image.shape) - 1, {bare_dim(c.maps[2][-1]): 1})
    size = math.prod(image.shape[c.lead :]) * image.element_type.width // 8
    return len(c.points) <= MOST_ELEMENTS and step in (1, 2) and size <= MOST_BYTES


def _unpadded(image: ir.Value, lead: int) -> tuple[tuple[int, ...], ir.Value]:
    """What is padded with zeros to make ``image``, behind how many of them per dimension; itself, behind none."""
    source, low, _ = unpadded(image)
    same = not any(low[:lead]) and list(source.type.shape[:lead]) == list(image.type.shape[:lead])
    return (low, source) if same else ((0,) * image.type.rank, image)


def _is_sum(expr: ir.AffineExpr) -> bool:
    """Anything but a loop or a constant."""
    return bare_dim(expr) is None and bool(dims_of(expr))


def _is_linear(expr: ir.AffineExpr) -> bool:
    """Sums of loops times constants."""
    if isinstance(expr, (ir.AffineDimExpr, ir.AffineConstantExpr)):
        return True
    if isinstance(expr, ir.AffineAddExpr):
        return _is_linear(expr.lhs) and _is_linear(expr.rhs)
    return isinstance(expr, ir.AffineMulExpr) and isinstance(expr.rhs, ir.AffineConstantExpr) and _is_linear(expr.lhs)
