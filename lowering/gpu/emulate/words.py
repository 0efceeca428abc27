"""Scalars as 64-bit words, the way the runtime passes them, and the runtime's numbers for element types."""

from pith._mlir import arith, ir, vector
from pith.passes.core import pass_error

#: Mirrors ``Number`` of runtime/emulator/numbers.h.
NUMBERS = {"f16": 0, "bf16": 1, "f32": 2, "f64": 3, "i8": 4, "i16": 5, "i32": 6, "i64": 7, "index": 7}

#: Mirrors ``Reduction`` of runtime/emulator/numbers.h, by the names that gpu, nvvm and vector give them.
REDUCTIONS = {
    "add": 0,
    "mul": 1,
    "minsi": 2,
    "min": 2,
    "minnumf": 2,
    "minimumf": 2,
    "fmin": 2,
    "minui": 3,
    "umin": 3,
    "maxsi": 4,
    "max": 4,
    "maxnumf": 4,
    "maximumf": 4,
    "fmax": 4,
    "maxui": 5,
    "umax": 5,
    "and": 6,
    "or": 7,
    "xor": 8,
}


def number_of(op: ir.Operation, type_: ir.Type) -> int:
    """The runtime's number for an element type; a diagnostic at ``op`` for others."""
    if str(type_) not in NUMBERS:
        pass_error(op, f"has no emulation for elements of type {type_}")
    return NUMBERS[str(type_)]


def to_word(op: ir.Operation, value: ir.Value) -> ir.Value:
    """The bits of a scalar, or of a vector of at most 64 bits, as an index."""
    type_, index = value.type, ir.IndexType.get()
    if isinstance(type_, ir.IndexType):
        return value
    bits = ir.IntegerType.get_signless(_width(op, type_))
    if isinstance(type_, ir.VectorType):
        value = vector.extract(vector.bitcast(ir.VectorType.get([1], bits), value), [], [0])
    elif not isinstance(type_, ir.IntegerType):
        value = arith.bitcast(bits, value)
    return arith.index_castui(index, value)


def from_word(op: ir.Operation, word: ir.Value, type_: ir.Type) -> ir.Value:
    """Inverse of :func:`to_word`."""
    if isinstance(type_, ir.IndexType):
        return word
    value = arith.index_castui(ir.IntegerType.get_signless(_width(op, type_)), word)
    if isinstance(type_, ir.VectorType):
        return vector.bitcast(type_, vector.broadcast(ir.VectorType.get([1], value.type), value))
    return value if isinstance(type_, ir.IntegerType) else arith.bitcast(type_, value)


def _width(op: ir.Operation, type_: ir.Type) -> int:
    width = element_bits(type_)
    if width > 64:
        pass_error(op, f"has no emulation for {type_}", "at most 64 bits are passed at once")
    return width


def element_bits(type_: ir.Type) -> int:
    """Bits of a number or a vector."""
    if isinstance(type_, ir.IndexType):
        return 64
    if isinstance(type_, ir.VectorType):
        bits = element_bits(type_.element_type)
        for size in type_.shape:
            bits *= size
        return bits
    return type_.width  # type: ignore[attr-defined]
