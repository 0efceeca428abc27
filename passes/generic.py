"""Building ops of linalg: ``generic``, ``fill`` and what they start from."""

from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, linalg, tensor


def generic(
    inputs: Sequence[ir.Value],
    init: ir.Value,
    maps: Sequence[ir.AffineMap],
    kinds: Sequence[str],
    body: Callable[..., ir.Value],
) -> ir.Value:
    """The result of a ``linalg.generic`` at the insertion point.

    Args:
        maps: of the inputs and ``init``.
        kinds: of the loops: ``parallel``, ``reduction``.
        body: makes what is yielded of an element of each input and of ``init``.
    """
    written = ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps])
    iterators = ir.ArrayAttr.get([ir.Attribute.parse(f"#linalg.iterator_type<{kind}>") for kind in kinds])
    new = linalg.GenericOp([init.type], list(inputs), [init], written, iterators)
    block = new.operation.regions[0].blocks.append(*(v.type.element_type for v in (*inputs, init)))
    with ir.InsertionPoint(block):
        linalg.YieldOp([body(*block.arguments)])
    return new.operation.results[0]


def elementwise(inputs: Sequence[ir.Value], init: ir.Value, body: Callable[..., ir.Value]) -> ir.Value:
    """:func:`generic` of tensors of one shape, in which every element of the result is one of each of them."""
    rank = init.type.rank
    return generic(inputs, init, [ir.AffineMap.get_identity(rank)] * (len(inputs) + 1), ["parallel"] * rank, body)


def empty_like(value: ir.Value, element: ir.Type | None = None) -> ir.Value:
    """An empty tensor of the sizes of ``value``, without its encoding; of its element type unless another is given."""
    type_, index = value.type, ir.IndexType.get()
    sizes = [
        tensor.dim(value, arith.constant(index, d)) if type_.is_dynamic_dim(d) else type_.get_dim_size(d)
        for d in range(type_.rank)
    ]
    return tensor.empty(sizes, element or type_.element_type)


def filled(init: ir.Value, value: ir.Value) -> ir.Value:
    """A tensor or memref of ``value`` in every place: the result of ``linalg.fill`` on tensors, ``init`` on memrefs."""
    on_tensors = isinstance(init.type, ir.RankedTensorType)
    new = linalg.FillOp([init.type] if on_tensors else [], [value], [init]).operation
    block = new.regions[0].blocks.append(value.type, init.type.element_type)
    with ir.InsertionPoint(block):
        linalg.YieldOp([block.arguments[0]])
    return new.results[0] if on_tensors else init
