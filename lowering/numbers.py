"""Arithmetic on numbers, or vectors of them, of any element type; integers are signed."""

from pith._mlir import arith, ir, math


def is_integer(v: ir.Value) -> bool:
    """Whether a number, or the elements of a vector, are integers or indices."""
    return isinstance(element_of(v.type), (ir.IntegerType, ir.IndexType))


def converted(v: ir.Value, element: ir.Type) -> ir.Value:
    """The same with elements of a wider or narrower type of the same kind; narrower floats are rounded."""
    from_, type_ = element_of(v.type), shaped(v.type, element)
    if from_ == element:
        return v
    wider, narrower = (arith.extsi, arith.trunci) if is_integer(v) else (arith.extf, arith.truncf)
    return (wider if element.width > from_.width else narrower)(type_, v)  # type: ignore[attr-defined]


def zero(element: ir.Type) -> ir.Attribute:
    """The attribute that a fill with zeros starts from."""
    return ir.IntegerAttr.get(element, 0) if isinstance(element, ir.IntegerType) else ir.FloatAttr.get(element, 0.0)


def plus(x: ir.Value, y: ir.Value) -> ir.Value:
    """``x + y``."""
    return (arith.addi if is_integer(x) else arith.addf)(x, y)


def times(x: ir.Value, y: ir.Value) -> ir.Value:
    """``x * y``."""
    return (arith.muli if is_integer(x) else arith.mulf)(x, y)


def times_plus(x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """``x * y + z``; floats are rounded once."""
    return plus(times(x, y), z) if is_integer(x) else math.fma(x, y, z)


def constant(type_: ir.Type, number: float) -> ir.Value:
    """A number of a scalar type, or the same one in every lane."""
    element = element_of(type_)
    is_float = isinstance(element, ir.FloatType)
    attr = ir.FloatAttr.get(element, number) if is_float else ir.IntegerAttr.get(element, int(number))
    if isinstance(type_, ir.VectorType):
        return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, attr))
    return arith.constant(type_, attr)


def element_of(type_: ir.Type) -> ir.Type:
    """The type of one lane."""
    return type_.element_type if isinstance(type_, ir.VectorType) else type_


def shaped(like: ir.Type, element: ir.Type) -> ir.Type:
    """``element``, or a vector of it where ``like`` is one."""
    return ir.VectorType.get(like.shape, element) if isinstance(like, ir.VectorType) else element
