"""Analysis: products whose result is stored sparsely, ``out[i, j] += left[i, k] * right[k, j]`` where out stores."""

import dataclasses

from pith._mlir import ir
from pith.dialect import encoding_of, format_of
from pith.dialect.tiling import bare_dim
from pith.formats import Format
from pith.passes.analysis.multiply_add import SIGNED_CASTS, multiplies_inputs
from pith.passes.analysis.structured import iterator_types

from ..sparse.contraction import indexing_maps


@dataclasses.dataclass(frozen=True)
class Factor:
    """A dense operand: its value, and which of its two dimensions is contracted."""

    value: ir.Value
    contracted: int


@dataclasses.dataclass(frozen=True)
class SampledProduct:
    """A product of two dense matrices, computed where its result has room: SDDMM.

    Attributes:
        op: the ``linalg.generic``; its result has the pattern of its encoded ``outs`` operand.
        format: of the result.
        outer: dimension of the result that its first level cuts (0: rows). Kernels iterate over it
            first, so to them that dimension is the rows.
        rows, cols: the factors indexed by dimension ``outer`` and by the other one.
    """

    op: ir.OpView
    format: Format
    outer: int
    rows: Factor
    cols: Factor

    @property
    def target(self) -> ir.Value:
        """The encoded tensor the products are added to."""
        return self.op.operands[2]

    @property
    def element(self) -> ir.Type:
        """Element type of the sums: f32 for narrower floats, which are rounded once, else that of the result."""
        stored = self.target.type.element_type
        return ir.F32Type.get() if isinstance(stored, (ir.F16Type, ir.BF16Type)) else stored


def match_sampled(op: ir.OpView) -> SampledProduct | None:
    """Recognise a product of two dense matrices that is added to an encoded tensor."""
    if len(op.operands) != 3 or encoding_of(op.operands[2].type) is None:
        return None
    if any(encoding_of(op.operands[i].type) is not None for i in (0, 1)):
        return None
    if sorted(iterator_types(op)) != ["parallel", "parallel", "reduction"] or not _multiplies(op):
        return None
    dims = [[bare_dim(e) for e in exprs] for exprs in indexing_maps(op)]
    red = iterator_types(op).index("reduction")
    if any(len(d) != 2 or None in d or len(set(d)) != 2 for d in dims) or red not in dims[0] or red not in dims[1]:
        return None
    factors = {d[1 - d.index(red)]: Factor(op.operands[i], d.index(red)) for i, d in enumerate(dims[:2])}
    if set(factors) != set(dims[2]):
        return None
    fmt = format_of(op.operands[2].type)
    outer = fmt.exprs[0].dim
    return SampledProduct(op, fmt, outer, factors[dims[2][outer]], factors[dims[2][1 - outer]])


def _multiplies(op: ir.OpView) -> bool:
    """True for products of floats or signed integers, which may be widened first."""
    return multiplies_inputs(op.regions[0].blocks[0], *SIGNED_CASTS)
