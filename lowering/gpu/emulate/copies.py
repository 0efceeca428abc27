"""``cp.async``: copies that land at the wait."""

from pith._mlir import ir

from ... import builder as b
from .context import Emulation
from .memory import element_address, element_bytes, extents_of


def async_copy(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.device_async_copy``; with ``srcElements`` the rest is zero and its source is not read."""
    view = op.opview
    count = ir.IntegerAttr(op.attributes["dstElements"]).value
    given: b.Index = count if view.srcElements is None else view.srcElements
    ends = ((view.dst, list(view.dstIndices), count), (view.src, list(view.srcIndices), given))
    if e.checks:
        for buffer, indices, n in ends:
            _check(e, op, buffer, indices, n)
    to, source = (element_address(buffer, indices) for buffer, indices, _ in ends)
    width = element_bytes(view.dst.type)
    e.call("async_copy", [e.site(op), to, source, count * width, b.mul(given, width)])
    return [b.value(0)]


def _check(e: Emulation, op: ir.Operation, buffer: ir.Value, indices: list[ir.Value], count: b.Index) -> None:
    """Bounds of a copy of ``count`` elements, which may be none."""
    *outer, last = zip(indices, extents_of(buffer))
    some = b.minimum(count, 1)
    for d, (i, extent) in enumerate(outer):
        e.call("bounds", [e.site(op), d, b.mul(i, some), some, extent])
    e.call("bounds", [e.site(op), len(outer), b.mul(last[0], some), count, last[1]])


def create_group(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.device_async_create_group``."""
    e.call("async_commit", [])
    return [b.value(0)]


def wait(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.device_async_wait``: all but the latest ``numGroups`` groups have landed afterwards."""
    pending = ir.IntegerAttr(op.attributes["numGroups"]).value if "numGroups" in op.attributes else 0
    e.call("async_wait", [pending])
    return []
