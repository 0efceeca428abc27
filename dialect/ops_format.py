"""Ops that move tensors into and out of formats, and check them against one."""

from collections.abc import Sequence

from pith._mlir import ext, ir
from pith.formats import DYNAMIC, Format

from .diagnostics import require, verifier
from .fields import dense_type, encoded_format
from .formats import encoded_type, shape_of
from .pith import Pith
from .storage import buffer_types, grouped, in_storage_order, require_buffers, storage_groups


class CompressOp(Pith.Operation, name="compress", traits=[ext.Pure]):
    """Pack a dense tensor into the format of the result type.

    Shapes: source: a ranked tensor without an encoding; result: the same shape and element
        type with a ``#pith.format`` encoding.
    Semantics: stores every non-zero element. A group that holds more than G non-empty
        coordinates keeps the G lowest of them (``validate`` finds such groups, ``prune``
        removes them by magnitude, ``pith.compress`` in Python refuses them).
    Errors: "expects source without an encoding", "expects result with a #pith.format encoding",
        "expects a legal encoding on result", "expects source and result to agree".
    Source: the storage contract of ``pith.formats.format``.
    Example: ``%1 = "pith.compress"(%0) : (tensor<8x16xf32>) -> tensor<8x16xf32, #fmt>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(cls, source: ir.Value, fmt: Format, *, loc=None, ip=None) -> "CompressOp":
        """Pack ``source`` into ``fmt``."""
        return cls(encoded_type(source.type, fmt), source, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """A source without an encoding, a result with one, of one shape and element type."""
        result = self.operation.results[0].type
        source = dense_type(self.source.type, "source")
        encoded_format(result, "result")
        _require_same_tensor(source, result)


class RepackOp(Pith.Operation, name="repack", traits=[ext.Pure]):
    """Give a stored tensor the values another tensor has where it stores something.

    Shapes: pattern and result: the same tensor type with a ``#pith.format`` encoding; source: a tensor of
        its sizes and element type without one.
    Semantics: the metadata stays; every stored position, those that fill up groups included, takes the
        element of source at its coordinates, or zero beyond the edge of a padded format.
    Errors: "expects pattern with a #pith.format encoding", "expects source without an encoding", "expects
        pattern and source to agree", "expects the result type of its pattern".
    Source: value updates on a fixed pattern, as in training.
    Example: ``%1 = "pith.repack"(%0, %w) : (tensor<8x16xf32, #fmt>, tensor<8x16xf32>) -> tensor<8x16xf32, #fmt>``
    """

    result: ext.Result[ir.RankedTensorType]
    pattern: ext.Operand[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]

    @verifier
    def verify_invariants(self) -> None:
        """An encoded pattern, the result of its type; a source without an encoding, of its shape and element type."""
        pattern, result = self.pattern.type, self.operation.results[0].type
        encoded_format(pattern, "pattern")
        source = dense_type(self.source.type, "source")
        agree = shape_of(pattern) == shape_of(source) and pattern.element_type == source.element_type
        require(agree, "expects pattern and source to agree in shape and element type, got {}", source)
        require(result == pattern, "expects the result type of its pattern, {}, got {}", pattern, result)


class DecompressOp(Pith.Operation, name="decompress", traits=[ext.Pure]):
    """Unpack an encoded tensor; elements it does not store are zero.

    Shapes: source: a ranked tensor with a ``#pith.format`` encoding; result: the same shape and
        element type without one.
    Semantics: elements stored more than once (``nonunique`` leaf levels) are added up.
    Errors: "expects source with a #pith.format encoding", "expects a legal encoding on source",
        "expects result without an encoding", "expects source and result to agree".
    Source: the storage contract of ``pith.formats.format``.
    Example: ``%1 = "pith.decompress"(%0) : (tensor<8x16xf32, #fmt>) -> tensor<8x16xf32>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(cls, source: ir.Value, *, loc=None, ip=None) -> "DecompressOp":
        """Unpack ``source``."""
        return cls(encoded_type(source.type, None), source, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """A source with an encoding, a result without one, of one shape and element type."""
        encoded_format(self.source.type, "source")
        result = dense_type(self.operation.results[0].type, "result")
        _require_same_tensor(self.source.type, result)


class AssembleOp(Pith.Operation, name="assemble", traits=[ext.Pure]):
    """Make an encoded tensor of its flat buffers.

    Shapes: all buffers are 1-D tensors of dynamic size. ``positions``, ``coordinates`` (of
        compressed and singleton levels) and ``packed`` (coordinates of ``nm`` levels, words of
        ``bitmask`` levels) each list one buffer per level that has one, outermost first, of
        ``iN`` (N bits as stored; sub-byte entries are packed into ``i8``) or ``index`` for native
        widths. values: of the element type. sizes: one ``index`` per dynamic dimension of the
        result, in order. result: the encoded tensor.
    Semantics: no data moves. The buffers must obey the storage contract; that is not checked.
        Operands are grouped by role because operands of one group have one type;
        ``AssembleOp.build`` and ``buffers`` speak storage order.
    Errors: "expects result with a #pith.format encoding", "expects N positions buffers"
        (coordinates, packed), "expects positions to be" (coordinates, packed, values), "expects
        one size per dynamic dimension", "expects one storage width".
    Source: the storage contract of ``pith.formats.format``; ``sparse_tensor.assemble`` upstream.
    Example:
        ``%1 = "pith.assemble"(%pos, %crd, %values) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
          : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32, #csr>``
    """

    result: ext.Result[ir.RankedTensorType]
    positions: Sequence[ext.Operand[ir.RankedTensorType]]
    coordinates: Sequence[ext.Operand[ir.RankedTensorType]]
    packed: Sequence[ext.Operand[ir.RankedTensorType]]
    values: ext.Operand[ir.RankedTensorType]
    sizes: Sequence[ext.Operand[ir.IndexType]]

    @classmethod
    def build(
        cls,
        result: ir.RankedTensorType,
        buffers: Sequence[ir.Value],
        sizes: Sequence[ir.Value] = (),
        *,
        loc=None,
        ip=None,
    ) -> "AssembleOp":
        """Make a ``result`` of ``buffers`` in storage order (values last) and its dynamic sizes."""
        groups = grouped(storage_groups(encoded_format(result, "result")), buffers)
        return cls(result, *groups, buffers[-1], list(sizes), loc=loc, ip=ip)

    @property
    def buffers(self) -> list[ir.Value]:
        """Metadata buffers in storage order, then the values."""
        fmt = encoded_format(self.operation.results[0].type, "result")
        return in_storage_order(fmt, self.positions, self.coordinates, self.packed, self.values)

    @verifier
    def verify_invariants(self) -> None:
        """The buffers are those of the result's format, and there is one size per dynamic dimension."""
        result = self.operation.results[0].type
        encoded_format(result, "result")
        require_buffers(result, self.positions, self.coordinates, self.packed, self.values)
        dynamic = shape_of(result).count(DYNAMIC)
        require(
            len(self.sizes) == dynamic,
            "expects one size per dynamic dimension of the result ({}), got {}",
            dynamic,
            len(self.sizes),
        )


class DisassembleOp(Pith.Operation, name="disassemble", traits=[ext.Pure]):
    """Take an encoded tensor apart into its flat buffers.

    Shapes: source: a ranked tensor with a ``#pith.format`` encoding; results: its positions,
        coordinates, packed coordinates and values, typed and grouped as the operands of ``assemble``.
    Semantics: no data moves; the inverse of ``assemble``. ``buffers`` gives them in storage order.
    Errors: "expects source with a #pith.format encoding", "expects N
        positions buffers" (coordinates, packed), "expects positions to be" (coordinates, packed,
        values), "expects one storage width".
    Source: the storage contract of ``pith.formats.format``; ``sparse_tensor.disassemble`` upstream.
    Example:
        ``%pos, %crd, %values = "pith.disassemble"(%0) {resultSegmentSizes = array<i32: 1, 1, 0, 1>}
          : (tensor<8x16xf32, #csr>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>)``
    """

    positions: Sequence[ext.Result[ir.RankedTensorType]]
    coordinates: Sequence[ext.Result[ir.RankedTensorType]]
    packed: Sequence[ext.Result[ir.RankedTensorType]]
    values: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(cls, source: ir.Value, *, loc=None, ip=None) -> "DisassembleOp":
        """Take ``source`` apart."""
        types = buffer_types(source.type)
        groups = grouped(storage_groups(encoded_format(source.type, "source")), types)
        return cls(*groups, types[-1], source, loc=loc, ip=ip)

    @property
    def buffers(self) -> list[ir.Value]:
        """Metadata buffers in storage order, then the values."""
        fmt = encoded_format(self.source.type, "source")
        return in_storage_order(fmt, self.positions, self.coordinates, self.packed, self.values)

    @verifier
    def verify_invariants(self) -> None:
        """The buffers are those of the source's format."""
        source = self.operation.operands[0].type
        encoded_format(source, "source")
        require_buffers(source, self.positions, self.coordinates, self.packed, self.values)


def _require_same_tensor(source: ir.RankedTensorType, result: ir.RankedTensorType) -> None:
    agree = shape_of(source) == shape_of(result) and source.element_type == result.element_type
    require(agree, "expects source and result to agree in shape and element type, got {} and {}", source, result)
