"""Ops on quantised values of stored tensors."""

from pith._mlir import ext, ir
from pith.formats import Format

from .diagnostics import require, verifier
from .fields import encoded_format
from .formats import encoded_type, shape_of
from .pith import Pith


class DequantizeOp(Pith.Operation, name="dequantize", traits=[ext.Pure]):
    """Give a stored tensor of small integers its real values: a scale and a zero point per group.

    Shapes: source: a tensor of ``i4`` or ``i8`` with a ``#pith.format`` encoding; scales: 1-D of f32 and
        zero_points: 1-D of i8, one element per group; result: source's shape and format, of f32.
    Semantics: groups are of ``group`` consecutive stored values, in storage order; the last one may be
        shorter. Value ``p`` becomes ``(value[p] - zero_points[p / group]) * scales[p / group]``, each step
        rounded to f32. Integers are signed. Elements that are not stored stay zero. Values of ``i4``
        are stored two per byte, the one of even position in the low bits; their zero points are from -8 to 7.
    Errors: "expects source with a #pith.format encoding", "expects source to hold i4 or i8",
        "expects scales to be 1-D of f32", "expects zero_points to be 1-D of i8", "expects a positive
        group", "expects result to be source in f32".
    Source: group-quantised weights, as in GQSA (Zeng et al., 2024).
    Example: ``%w = "pith.dequantize"(%q, %s, %z) {group = 64 : i64}
        : (tensor<8x128xi4, #fmt>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x128xf32, #fmt>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]
    scales: ext.Operand[ir.RankedTensorType]
    zero_points: ext.Operand[ir.RankedTensorType]
    group: ir.IntegerAttr

    @verifier
    def verify_invariants(self) -> None:
        """An encoded i4 or i8 source, the result the same in f32; vectors of scales and zero points; a group."""
        source, result = self.source.type, self.operation.results[0].type
        fmt = encoded_format(source, "source")
        element = str(source.element_type)
        require(element in ("i4", "i8"), "expects source to hold i4 or i8, got {}", element)
        _require_vector(self.scales.type, "scales", "f32")
        _require_vector(self.zero_points.type, "zero_points", "i8")
        group = ir.IntegerAttr(self.operation.attributes["group"]).value
        require(group > 0, "expects a positive group, got {}", group)
        _require_in_f32(source, fmt, result)


class DequantizeRowsOp(Pith.Operation, name="dequantize_rows", traits=[ext.Pure]):
    """Give a stored matrix of small integers its real values: a scale per row.

    Shapes: source: an MxK tensor of ``i8`` with a ``#pith.format`` encoding; scales: 1-D of f32, one element per
        row; result: source's shape and format, of f32.
    Semantics: value ``[i, k]`` becomes ``value * scales[i]``, rounded to f32. Elements that are not stored stay
        zero. ``pith-hoist-scales`` moves the factor behind the sums that read the values.
    Errors: "expects source with a #pith.format encoding", "expects source to be a matrix of i8", "expects scales
        to be 1-D of f32", "expects result to be source in f32".
    Source: weights with a scale per output channel, as in LLM.int8() (Dettmers et al., 2022).
    Example: ``%w = "pith.dequantize_rows"(%q, %s)
        : (tensor<8x128xi8, #fmt>, tensor<8xf32>) -> tensor<8x128xf32, #fmt>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]
    scales: ext.Operand[ir.RankedTensorType]

    @verifier
    def verify_invariants(self) -> None:
        """An encoded matrix of i8, a vector of scales, the result the same in f32."""
        source, result = self.source.type, self.operation.results[0].type
        fmt = encoded_format(source, "source")
        matrix = source.rank == 2 and str(source.element_type) == "i8"
        require(matrix, "expects source to be a matrix of i8, got {}", source)
        _require_vector(self.scales.type, "scales", "f32")
        _require_in_f32(source, fmt, result)


def _require_in_f32(source: ir.RankedTensorType, fmt: Format, result: ir.RankedTensorType) -> None:
    with source.context, ir.Location.unknown():
        wanted = encoded_type(ir.RankedTensorType.get(source.shape, ir.F32Type.get()), fmt)
    same = str(result.element_type) == "f32" and shape_of(result) == shape_of(source)
    require(
        same and result.encoding == source.encoding,
        "expects result to be source in f32, {}, got {}",
        wanted,
        result,
    )


def _require_vector(type_: ir.RankedTensorType, name: str, element: str) -> None:
    fits = type_.rank == 1 and str(type_.element_type) == element and type_.encoding is None
    require(fits, "expects {} to be 1-D of {}, got {}", name, element, type_)
