"""The body of a ``linalg.generic`` computed on vectors: one lane per element, uniform values once.

A value that no vector flows into stays a scalar and is broadcast where it meets one, so constants
and per-row factors cost nothing per lane.
"""

from collections.abc import Mapping, Sequence

from pith._mlir import ir, vector

from .bfloat16 import round_to_bfloat16, widen_bfloat16

#: Ops of ``math`` that upstream lowers on vectors as they are; the others go lane by lane to libm.
#: (``pith-approximate-math`` has turned erf, tanh and exp of f32 into arithmetic before.)
_VECTOR_MATH = frozenset(
    "math." + name
    for name in (
        "absf absi ceil copysign cos ctlz ctpop cttz exp exp2 expm1 floor fma log log10 log1p log2 "
        "powf round roundeven rsqrt sin sqrt trunc"
    ).split()
)

#: Conversions that LLVM would call a function for, lane by lane: op and types -> what computes them.
_BFLOAT16 = {
    ("arith.truncf", "f32", "bf16"): round_to_bfloat16,
    ("arith.extf", "bf16", "f32"): widen_bfloat16,
}


def is_vectorizable(block: ir.Block) -> bool:
    """True when every op of the body is arithmetic on numbers: no regions, indices or memory."""
    *body, _ = block.operations
    return all(is_arithmetic(op.operation) for op in body)


def is_arithmetic(op: ir.Operation) -> bool:
    """True for arithmetic on numbers, which :func:`apply` computes on vectors."""
    numbers = all(_is_number(v.type) for v in (*op.operands, *op.results))
    return op.name.startswith(("arith.", "math.")) and not len(op.regions) and numbers


def evaluate(block: ir.Block, arguments: Mapping[ir.Value, ir.Value]) -> list[ir.Value]:
    """What ``block`` yields for ``arguments``: block argument -> scalar or 1-D vector, all of one length.

    Emitted at the insertion point. Requires :func:`is_vectorizable`; arguments left out are unused.
    """
    *body, terminator = block.operations
    values = dict(arguments)
    for op in body:
        operation = op.operation
        operands = [values.get(v, v) for v in operation.operands]
        results = apply(operation, operands)
        values.update(zip(operation.results, results))
    return [values.get(v, v) for v in terminator.operands]


def broadcast(value: ir.Value, lanes: int | None) -> ir.Value:
    """``value`` as a vector of ``lanes`` elements, or as it is (a vector already; ``lanes`` None)."""
    if lanes is None or isinstance(value.type, ir.VectorType):
        return value
    return vector.broadcast(ir.VectorType.get([lanes], value.type), value)


def lanes_of(values: Sequence[ir.Value]) -> int | None:
    """Length of the vectors among ``values``, or None when all are scalars."""
    return next((v.type.shape[0] for v in values if isinstance(v.type, ir.VectorType)), None)


def apply(op: ir.Operation, operands: Sequence[ir.Value]) -> list[ir.Value]:
    """The results of ``op``, which :func:`is_arithmetic`, for scalars and vectors of one length."""
    lanes = lanes_of(operands)
    if lanes is not None and op.name.startswith("math.") and op.name not in _VECTOR_MATH:
        return _lane_by_lane(op, operands, lanes)
    converted = _BFLOAT16.get((op.name, str(op.operands[0].type), str(op.results[0].type))) if operands else None
    if converted is not None:
        return [converted(*operands)]
    types = [r.type if lanes is None else ir.VectorType.get([lanes], r.type) for r in op.results]
    return _create(op, types, [broadcast(v, lanes) for v in operands])


def _lane_by_lane(op: ir.Operation, operands: Sequence[ir.Value], lanes: int) -> list[ir.Value]:
    def lane(v: ir.Value, i: int) -> ir.Value:
        return vector.extract(v, [], [i]) if isinstance(v.type, ir.VectorType) else v

    computed = [_create(op, [r.type for r in op.results], [lane(v, i) for v in operands]) for i in range(lanes)]
    return [
        vector.from_elements(ir.VectorType.get([lanes], r.type), [c[n] for c in computed])
        for n, r in enumerate(op.results)
    ]


def _create(op: ir.Operation, types: Sequence[ir.Type], operands: Sequence[ir.Value]) -> list[ir.Value]:
    """``op`` again with other operands and result types; a constant keeps its scalar value."""
    attributes = {name: op.attributes[name] for name in op.attributes}
    new = ir.Operation.create(op.name, results=list(types), operands=list(operands), attributes=attributes)
    return list(new.results)


def _is_number(type_: ir.Type) -> bool:
    return isinstance(type_, ir.IntegerType) or isinstance(type_, ir.FloatType)
