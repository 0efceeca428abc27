"""Building ``linalg.generic`` ops."""

from collections.abc import Callable, Sequence

from pith._mlir import ir, linalg


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
