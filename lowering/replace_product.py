"""Putting the result of a kernel in the place of the ops that it computes."""

from pith._mlir import ir
from pith.passes.analysis.traversal import defining_op, is_used

from .epilogue.match import RESHAPES, Epilogue
from .panel.windows import match_windows


def replace_product(op: ir.Operation, epilogue: Epilogue | None, result: ir.Value) -> None:
    """Put ``result`` in the place of ``op``, or of the chain of ops that its kernel computed with it."""
    replaced = [op, *(stage.operation for stage in epilogue.chain)] if epilogue else [op]
    replaced[-1].results[0].replace_all_uses_with(result)
    inits = [old.operands[len(old.operands) - 1] for old in replaced]
    others = [init.owner not in replaced for init in inits]  # else an op writes over what one before it computed
    for old, outside in reversed(list(zip(replaced, others))):
        if old.name in RESHAPES:
            if not is_used(old):  # else something asks for its size
                old.erase()
            continue
        *inputs, init = old.operands
        packed = [v for v in inputs if old is op and match_windows(v) is not None]
        _redirect_sizes(old.results[0], init)
        old.erase()
        if outside:
            _erase_dead(init)
        for windows in packed:  # from their image
            _erase_dead(windows)


def _erase_dead(v: ir.Value) -> None:
    """Erase the fill (and reshapes of it) that made ``v`` when nothing reads it any more."""
    op = defining_op(v)
    if op is None or not op.name.startswith(("linalg.", "tensor.collapse_shape")):
        return
    inputs = list(op.operands)
    if op.name != "tensor.collapse_shape":
        _redirect_sizes(op.results[0], inputs[-1])
    if is_used(op):
        return
    op.erase()
    _erase_dead(inputs[-1])


def _redirect_sizes(v: ir.Value, init: ir.Value) -> None:
    """Ask ``init`` for the sizes that ``v`` is asked for, reshaped or not: a destination has the size of its result."""
    for user in [use.owner for use in v.uses]:
        if user.name == "tensor.dim" or (user.name in RESHAPES and _asks_only_size(user)):
            user.operands[0] = init


def _asks_only_size(reshape: ir.OpView) -> bool:
    """Sizes are all that is read of ``reshape``, through whatever reshapes."""
    readers = [use.owner for use in reshape.results[0].uses]
    return all(r.name == "tensor.dim" or (r.name in RESHAPES and _asks_only_size(r)) for r in readers)
