"""Convert ``pith.attention``: the kernel of its queries, and those of lists and of global tokens where it has them."""

import dataclasses

from pith._mlir import ir
from pith.dialect import AttentionOp

from ... import builder as b
from ...builder import Index
from ..host import Host
from . import lists
from .kernel import emit_attention
from .keys import Layout
from .plan import Plan, plan_attention, query_tiles
from .problem import Operands, Problem


def convert_attention(host: Host, op: AttentionOp) -> None:
    """Emit kernels and launches of ``op``."""
    problem = Problem.of(op)
    plan = plan_attention(op, problem, host.target)
    o = _operands(host, op)
    if problem.listed:
        o = _make_lists(host, op, o, problem, plan)
    given = dataclasses.replace(o, pattern=None)
    _launch(host, op, given, problem, plan, of_tokens=False)
    if problem.tokens:
        alone = dataclasses.replace(given, lists=None)
        plan = plan_attention(op, problem, host.target, of_tokens=True)
        _launch(host, op, alone, problem, plan, of_tokens=True)
    for result, buffer in zip(op.operation.results, (o.out, o.lse)):
        host.bind(result, [buffer])


def _operands(host: Host, op: AttentionOp) -> Operands:
    names = ("query", "key", "value", "intervals", "pattern", "global_tokens", "reach")
    given = {name: getattr(op, name) for name in names}
    buffers = {name: None if v is None else host.buffers_of(op, v)[-1] for name, v in given.items()}
    lse = None if op.lse is None else _destination(host, op, op.lse)
    return Operands(**buffers, out=_destination(host, op, op.out), lse=lse, scale=_scale(host, op))


def _destination(host: Host, op: AttentionOp, init: ir.Value) -> ir.Value:
    """Memory for a result, whose contents are not read: that of ``init`` where it may be written to."""
    buffer = host.buffers_of(op, init)[-1]
    if buffer in host.owned and len(list(init.uses)) == 1:
        return buffer
    return host.allocate(buffer.type, [b.dim_size(buffer, d) for d in range(buffer.type.rank)])


def _scale(host: Host, op: AttentionOp) -> ir.Value | float:
    owner = op.scale.owner
    if not isinstance(owner, ir.Block) and owner.name == "arith.constant":
        return ir.FloatAttr(owner.attributes["value"]).value
    return host.buffers_of(op, op.scale)[0]


def _make_lists(host: Host, op: AttentionOp, o: Operands, problem: Problem, plan: Plan) -> Operands:
    """Launch the kernel that lists the keys of every tile of queries, for all sequences or for each."""
    i32, dynamic = ir.IntegerType.get_signless(32), ir.ShapedType.get_dynamic_size()
    rows: Index = 1
    for buffer in (o.intervals, o.global_tokens, o.reach):
        rows = rows if buffer is None else b.maximum(rows, b.dim_size(buffer, 0))
    tiles = query_tiles(o, problem, plan, of_tokens=False)
    sizes = [rows, tiles, Layout.of(o, problem).size]
    made = host.allocate(ir.MemRefType.get([s if isinstance(s, int) else dynamic for s in sizes], i32), sizes)
    given = dataclasses.replace(o, lists=made)
    shared = sum(s.nbytes for s in lists.shapes())
    arguments = given.flat()
    with host.kernel("attention_keys", [v.type for v in arguments], lists.THREADS) as (name, block):
        lists.emit_lists(given.inside(block.arguments), problem, plan)
    host.launch(op, name, [tiles, rows], lists.THREADS, shared, arguments)
    return given


def _launch(host: Host, op: AttentionOp, o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> None:
    arguments = o.flat()
    kind = "attention_tokens" if of_tokens else "attention"
    with host.kernel(kind, [v.type for v in arguments], plan.body.threads) as (name, block):
        emit_attention(o.inside(block.arguments), problem, plan, of_tokens)
    grid = [query_tiles(o, problem, plan, of_tokens), o.heads, o.batch]
    host.launch(op, name, grid, plan.body.threads, plan.shared_bytes, arguments)
