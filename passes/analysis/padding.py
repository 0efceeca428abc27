"""Analysis: what was padded with zeros (IR -> values)."""

from __future__ import annotations

from pith._mlir import ir

from .traversal import defining_op


def unpadded(value: ir.Value) -> tuple[ir.Value, tuple[int, ...], tuple[int, ...]]:
    """What zeros were put around to make ``value``, and how many before and behind it per dimension; itself and none.

    Looks through one ``tensor.pad`` after the other. Only numbers of zeros that are known now.
    """
    low = high = (0,) * value.type.rank
    while (pad := defining_op(value, "tensor.pad")) is not None and _is_plain(pad):
        low, high = (
            tuple(a + b for a, b in zip(so_far, _numbers(pad, name)))
            for so_far, name in ((low, "static_low"), (high, "static_high"))
        )
        value = pad.operands[0]
    return value, low, high


def _is_plain(pad: ir.OpView) -> bool:
    """Known numbers of zeros, none of them negative."""
    given = list(pad.operation.regions[0].blocks[0].operations)[-1].operands[0]
    constant = defining_op(given, "arith.constant")
    zero = constant is not None and getattr(constant.operation.attributes["value"], "value", None) == 0.0
    return zero and all(n >= 0 for name in ("static_low", "static_high") for n in _numbers(pad, name))


def _numbers(pad: ir.OpView, name: str) -> tuple[int, ...]:
    """An attribute's numbers; of those that only run time knows the smallest there is."""
    return tuple(int(n) for n in pad.operation.attributes[name])
