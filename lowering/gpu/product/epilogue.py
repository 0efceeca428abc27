"""What surrounds a product, computed where it writes back: elementwise consumers never see the product in memory.

The chain is found as on the CPU (:mod:`pith.lowering.epilogue.match`), here each operand becomes a kernel argument.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector
from pith.dialect import encoding_of, shape_of

from ... import builder as b
from ...builder import Index
from ...epilogue.match import Epilogue, Operand, match_epilogue
from ..host import Host
from ..linalg.loops import Nest, captured, evaluate
from ..outputs import constant_of
from .layout import CHUNK_BYTES
from .match import Product


@dataclasses.dataclass(frozen=True)
class Fused:
    """A chain of consumers and where its operands are, on the host or inside of a kernel.

    Attributes:
        epilogue: the chain.
        buffers: per stage and operand a memref or a number; None for what flows in, is constant or is not read.
    """

    epilogue: Epilogue
    buffers: tuple[tuple[ir.Value | None, ...], ...]

    @property
    def values(self) -> list[ir.Value]:
        """The arguments of the kernel."""
        return [v for stage in self.buffers for v in stage if v is not None]

    def inside(self, given: Sequence[ir.Value]) -> "Fused":
        """The same on the kernel's arguments that stand for :attr:`values`."""
        values = iter(given)
        return Fused(
            self.epilogue, tuple(tuple(None if v is None else next(values) for v in stage) for stage in self.buffers)
        )

    def as_matrix(self, out: ir.Value) -> ir.Value:
        """The buffer of the chain's result with the product's two dimensions."""
        return _collapsed(out, self.epilogue.destination.groups)

    def finish(self, value: ir.Value, at: Sequence[Index]) -> ir.Value:
        """What is stored for the product's ``value`` at (row, column): a scalar, or neighbours along the columns."""
        width = value.type.shape[0] if isinstance(value.type, ir.VectorType) else None
        lanes = [value] if width is None else [vector.extract(value, [], [i]) for i in range(width)]
        for stage, buffers in zip(self.epilogue.stages, self.buffers):
            given = [
                lanes if o is None else self._elements(o, v, at, len(lanes)) for o, v in zip(stage.operands, buffers)
            ]
            nest = Nest.of(stage.op)
            lanes = [evaluate(nest, [g[i] if g else None for g in given], at, {})[0] for i in range(len(lanes))]
        if width is None:
            return lanes[0]
        return vector.from_elements(ir.VectorType.get([width], lanes[0].type), lanes)

    def _elements(self, operand: Operand, buffer: ir.Value | None, at: Sequence[Index], lanes: int) -> list[ir.Value]:
        """An operand's elements beside the lanes; none where nothing reads them."""
        constant = constant_of(operand.value)
        if constant is not None:
            return [_number(operand, constant)] * lanes
        if buffer is None:
            return []
        if not isinstance(buffer.type, ir.MemRefType):
            return [buffer] * lanes
        view = _collapsed(buffer, operand.groups)
        where = [b.value(0 if d is None else at[d]) for d in operand.dims]
        if 1 not in operand.dims or lanes == 1:
            return [memref.load(view, where)] * lanes
        if operand.dims[-1] != 1 or operand.dims.count(1) != 1:
            places = [
                [b.value(b.add(w, lane) if d == 1 else w) for d, w in zip(operand.dims, where)] for lane in range(lanes)
            ]
            return [memref.load(view, place) for place in places]
        # Rows of the output start at multiples of 16 bytes, and this operand is indexed by the same columns.
        type_ = ir.VectorType.get([lanes], view.type.element_type)
        nbytes = lanes * b.bits_of(view.type.element_type) // 8
        run = vector.load(type_, view, where, alignment=min(nbytes, CHUNK_BYTES))
        return [vector.extract(run, [], [lane]) for lane in range(lanes)]


def fuse(host: Host, product: Product) -> Fused | None:
    """The consumers of ``product`` that its kernel computes."""
    op = product.op
    if not product.writes_everything or product.out.roles != ("m", "n"):
        return None
    types = [v.value.type for v in (product.lhs, product.rhs)]
    if any(encoding_of(t) is not None and min(shape_of(t)) < 0 for t in types):
        return None  # only the result knows the sizes
    return fuse_consumers(host, op)


def fuse_consumers(host: Host, op: ir.OpView) -> Fused | None:
    """The consumers of the matrix that ``op`` makes which keep its rows and columns, if their operands are at hand."""
    found = match_epilogue(op)
    if found is None or found.destination.dims != (0, 1):
        return None
    if any(use.owner.name == "tensor.dim" for o in (op, *found.chain[:-1]) for use in o.results[0].uses):
        return None
    if any(captured(Nest.of(stage.op)) for stage in found.stages):
        return None
    buffers = []
    for stage in found.stages:
        arguments = list(stage.op.regions[0].blocks[0].arguments)
        needed = [_needed(argument, operand) for argument, operand in zip(arguments, stage.operands)]
        if any(v is not None and v not in host.buffers and v not in host.deferred for v in needed):
            return None
        buffers.append(tuple(None if v is None else host.buffers_of(op, v)[-1] for v in needed))
    return Fused(found, tuple(buffers))


def _needed(argument: ir.Value, operand: Operand | None) -> ir.Value | None:
    """The value of an operand that the kernel must be given: it is read, and not the same number everywhere."""
    if operand is None or not any(True for _ in argument.uses) or constant_of(operand.value) is not None:
        return None
    return operand.value


def _number(operand: Operand, constant: ir.Attribute) -> ir.Value:
    type_ = operand.value.type
    return arith.ConstantOp(type_.element_type if isinstance(type_, ir.ShapedType) else type_, constant).result


def _collapsed(buffer: ir.Value, groups: Sequence[Sequence[int]]) -> ir.Value:
    """Row-major memory with each group of dimensions as one."""
    if all(len(group) == 1 for group in groups):
        return buffer
    dynamic = ir.ShapedType.get_dynamic_size()
    sizes = shape_of(buffer.type)
    shape = []
    for group in groups:
        known = [sizes[d] for d in group]
        shape.append(dynamic if any(s < 0 for s in known) else int(b.product(known)))
    type_ = ir.MemRefType.get(shape, buffer.type.element_type)
    return memref.collapse_shape(type_, buffer, [list(group) for group in groups])
