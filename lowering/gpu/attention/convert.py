"""Convert ``pith.attention`` and its gradient: the kernel of its queries, and those of lists and of global tokens."""

import dataclasses
from typing import Any

from pith._mlir import ir
from pith.dialect import AttentionGradOp, AttentionOp
from pith.passes.analysis.traversal import constant_attribute

from ... import builder as b
from ...builder import Index
from ..host import Host
from . import lists
from .gradient import Gradient
from .kernel import Attention
from .keys import Layout
from .plan import Plan, plan_attention, query_tiles
from .problem import Operands, Problem

_VISIBILITY = ("intervals", "pattern", "global_tokens", "reach")


def convert_attention(host: Host, op: AttentionOp) -> None:
    """Emit kernels and launches of ``op``."""
    names = {name: name for name in ("query", "key", "value", "bias", *_VISIBILITY)}
    written = {"out": op.out, "lse": op.lse}
    _convert(host, op, _operands(host, op, names, written))


def convert_gradient(host: Host, op: AttentionGradOp) -> None:
    """Emit kernels and launches of ``op``: one's own in the place of queries, the others in that of keys and values."""
    names = {name: name for name in ("own_pair", "lse", "delta", *_VISIBILITY)}
    names |= {"query": "own", "key": "other", "value": "other_pair"}
    written = {"out": op.out, "pair_out": op.pair_out}
    _convert(host, op, _operands(host, op, names, written))


def _convert(host: Host, op: AttentionOp | AttentionGradOp, o: Operands) -> None:
    problem = Problem.of(op)
    plan = plan_attention(op, problem, host.target)
    results = [o.out, o.lse if problem.gradient is None else o.pair_out]
    given = o
    if problem.listed:
        given = _make_lists(host, op, o, problem, plan)
    _launch(host, op, dataclasses.replace(given, pattern=None), problem, plan, of_tokens=False)
    if problem.tokens:
        plan = plan_attention(op, problem, host.target, of_tokens=True)
        _launch(host, op, dataclasses.replace(o, pattern=None), problem, plan, of_tokens=True)
    for result, buffer in zip(op.operation.results, results):
        if buffer is not None:
            host.bind(result, [buffer])


def _operands(host: Host, op: Any, names: dict[str, str], written: dict[str, ir.Value | None]) -> Operands:
    """Buffers by the names of :class:`Operands`, from the op's own ``names``."""
    given = {ours: getattr(op, theirs) for ours, theirs in names.items()}
    buffers = {ours: None if v is None else host.buffers_of(op, v)[-1] for ours, v in given.items()}
    made = {ours: None if v is None else _destination(host, op, v) for ours, v in written.items()}
    number = constant_attribute(op.scale)
    scale = host.buffers_of(op, op.scale)[0] if number is None else ir.FloatAttr(number).value
    return Operands(**{**buffers, **made}, scale=scale)  # type: ignore[arg-type]


def _destination(host: Host, op: ir.OpView, init: ir.Value) -> ir.Value:
    """Memory for a result, whose contents are not read: that of ``init`` where it may be written to."""
    buffer = host.buffers_of(op, init)[-1]
    if buffer in host.owned and len(list(init.uses)) == 1:
        return buffer
    return host.allocate(buffer.type, [b.dim_size(buffer, d) for d in range(buffer.type.rank)])


def _make_lists(host: Host, op: ir.OpView, o: Operands, problem: Problem, plan: Plan) -> Operands:
    """Launch the kernel that lists the keys of every tile of queries, for all sequences or for each."""
    i32, dynamic = ir.IntegerType.get_signless(32), ir.ShapedType.get_dynamic_size()
    rows: Index = 1
    for buffer in (o.intervals, o.global_tokens, o.reach):
        rows = rows if buffer is None else b.maximum(rows, b.dim_size(buffer, 0))
    tiles = query_tiles(o, problem, plan, None)
    sizes = [rows, tiles, Layout.of(o, problem).size]
    made = host.allocate(ir.MemRefType.get([s if isinstance(s, int) else dynamic for s in sizes], i32), sizes)
    given = dataclasses.replace(o, lists=made)
    shared = sum(s.nbytes for s in lists.shapes())
    arguments = given.flat()
    with host.kernel("attention_keys", [v.type for v in arguments], lists.THREADS) as (name, block):
        lists.emit_lists(given.inside(block.arguments), problem, plan)
    host.launch(op, name, [tiles, rows], lists.THREADS, shared, arguments)
    return given


def _launch(host: Host, op: ir.OpView, o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> None:
    """Launch the kernel of all queries that are no global tokens, or of those that are."""
    block_of = Attention if problem.gradient is None else Gradient
    arguments = o.flat()
    kind = op.operation.name.removeprefix("pith.") + ("_tokens" if of_tokens else "")
    with host.kernel(kind, [v.type for v in arguments], plan.body.threads) as (name, block):
        block_of.begin(o.inside(block.arguments), problem, plan, of_tokens).run()
    grid = [query_tiles(o, problem, plan, o.global_tokens if of_tokens else None), o.heads, o.batch]
    host.launch(op, name, grid, plan.body.threads, plan.shared_bytes, arguments)
