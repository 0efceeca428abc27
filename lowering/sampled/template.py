"""The template of sampled products (SDDMM): ``values[p] += dot(left[i, :], right[:, j])`` for every stored (i, j).

Code it emits, where rows are the dimension that the format's first level cuts::

    pack left into rows[strip][i][depth], right into cols[strip][j][depth]   (lowering/sampled/pack.py)
    scf.parallel (chunk of the first level)
      count the chunk's entries; then list them: column, position, and row   (two walks: lowering/sparse/levels.py)
      for each strip of contracted coordinates
        for each block of columns: with the strip, what L1 holds
          for each row, over its entries there, a tile of them at a time     (lowering/sampled/tile.py)
            for k in the strip, a vector at a time
              sum[e] += rows[strip][i][k : +lanes] * cols[strip][j_e][k : +lanes]
            values[p_e] += lanes of sum[e], added up

The contracted dimension is the vector dimension whatever the pattern is, so every format takes this
path at the same speed. An *entry* is a dense block of the format (its trailing dense levels), or a
single element; elements of a block that are in one row or column share loads. Listing the entries
takes the walk, and its bit twiddling, out of the loops over strips and blocks.
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import bufferization, ir
from pith.dialect import AssembleOp
from pith.passes.analysis.traversal import defining_op, is_zero
from pith.passes.core import pass_error
from pith.passes.generic import filled

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..panel.arithmetic import bytes_of
from ..sparse.levels import Step, Storage, descend, load_coordinate, start, walk
from .dot import TileEmitter
from .entries import Blocking, Plan, Visit, list_entries
from .match import SampledProduct, match_sampled
from .pack import Packed, pack, strip_depth
from .rows import WholeRows

#: Entries of a first level without rows (COO) per parallel task.
CHUNK_ENTRIES = 4096

#: Bytes of the vectors of a dot product at least: of narrower registers several. Of 512 bits instead of 256, half, a
#: fifth and a tenth of the elements of 2048x512 take 34 to 43, 26 to 31 and 28 GF/s (256 contracted, one core of
#: Emerald Rapids, 2026-11).
LEAST_BYTES = 32

#: Multiply-adds that take about as long as one scalar operation (one AVX2 register of f32).
VECTOR_OPERATIONS = 8


def lower_encoded_result(op: ir.Operation, storage_of_value: Callable[[ir.Value], Storage], isa: Isa) -> None:
    """Replace a ``linalg.generic`` whose result is encoded by its kernel.

    Errors: :class:`pith.PassError` when it is not a sampled product, or adds to anything but the
        result of a ``pith.assemble`` (``storage_of_value`` says so).
    """
    product = match_sampled(op.opview)
    if product is None or not isinstance(product.target.type.element_type, (ir.F32Type, ir.F64Type)):
        pass_error(
            op,
            "writes an encoded result but is not a product of two dense matrices in f32 or f64",
            "compute densely and pith.compress the result",
        )
    with ir.InsertionPoint(op), op.location:
        storage = storage_of_value(product.target)
        result = emit_sddmm(product, product.target.owner.opview, storage, isa)
    for use in list(op.results[0].uses):
        if use.owner.name == "pith.disassemble":
            for old, new in zip(use.owner.opview.buffers, result.buffers):
                old.replace_all_uses_with(new)
            use.owner.erase()
    op.results[0].replace_all_uses_with(result.result)
    op.erase()


def emit_sddmm(p: SampledProduct, assembled: AssembleOp, storage: Storage, isa: Isa) -> AssembleOp:
    """Emit the kernel at the insertion point; returns the result: the metadata of ``assembled``, new values.

    ``storage`` describes ``assembled``; its values are not read through it.
    """
    values, adds = _initial(assembled.buffers[-1])
    out = bufferization.to_buffer(ir.MemRefType.get(values.type.shape, p.element), values)
    plan, rows = Plan.of(dataclasses.replace(storage, values=out), p.outer), WholeRows(p, storage, out, adds, isa)

    def dots() -> None:
        if not adds:
            filled(out, b.zero_of(p.element))
        _emit_dots(p, plan, isa)

    if rows.applies:
        b.if_else(rows.pays(plan.leaf, plan.tile), rows.emit, dots)
    else:
        dots()
    result = bufferization.to_tensor(values.type, out, restrict=True, writable=True)
    return AssembleOp.build(p.target.type, [*assembled.buffers[:-1], result], list(assembled.sizes))


def _initial(values: ir.Value) -> tuple[ir.Value, bool]:
    """The values that products are added to, and True; what is below a fill with zeros, which then is not needed."""
    fill = defining_op(values, "linalg.generic")
    if fill is None or len(fill.operands) != 2 or not is_zero(fill.operands[0]):
        return values, True
    block, into = fill.regions[0].blocks[0], fill.operands[1]
    yielded = block.operations[0].operation
    fills = yielded.name == "linalg.yield" and yielded.operands[0] == block.arguments[0]
    return (into, False) if fills and len(list(into.uses)) == 1 else (values, True)


def _emit_dots(p: SampledProduct, plan: Plan, isa: Isa) -> None:
    """Emit the template above."""
    lanes = max(LEAST_BYTES, isa.vector_bytes) // bytes_of(p.element)
    reds = b.dim_size(p.rows.value, p.rows.contracted)
    divisors = [d if p.format.padded else 1 for d in p.format.divisors()]
    sizes = [b.dim_size(f.value, 1 - f.contracted) for f in (p.rows, p.cols)]
    blocking = plan.blocking(sizes[0], b.add(sizes[1], divisors[1 - p.outer] - 1))
    depth = strip_depth(reds, 2 * lanes, blocking.strip)
    rows = pack(p.rows, p.element, reds, depth, 2 * lanes, divisors[p.outer])
    cols = pack(p.cols, p.element, reds, depth, 2 * lanes, divisors[1 - p.outer])
    work = b.div(b.mul(b.dim_size(plan.storage.values, 0), reds), VECTOR_OPERATIONS)
    _parallel_chunks(plan, work, lambda visit: _task(plan, blocking, rows, cols, reds, lanes, visit))


def _parallel_chunks(plan: Plan, work: Index, task: Callable[[Visit], None]) -> None:
    """Run ``task`` on the chunks of the first level, in parallel."""
    storage, top = plan.storage, start(plan.storage.format)
    kind = storage.format.levels[0].kind
    if kind in ("compressed", "loose_compressed"):
        positions = storage.metadata[0, "positions"]
        first, end, size = b.load_index(positions, 0), b.load_index(positions, 1), CHUNK_ENTRIES
    elif storage.format.levels[0].is_dense:
        first, end, size = 0, storage.level_sizes[0], plan.units
    else:
        task(lambda step, carried, until: walk(storage, top, step, carried, until))
        return

    def chunk(number: ir.Value) -> None:
        lo = b.add(first, b.mul(number, size))
        hi = b.minimum(b.add(lo, size), end)

        def visit(step: Step, carried: Sequence[ir.Value], until: int) -> list[ir.Value]:
            def node(q: Index, *inner: ir.Value) -> list[ir.Value]:
                coord = q if kind not in ("compressed", "loose_compressed") else load_coordinate(storage, 0, q)
                return walk(storage, descend(storage, top, q, coord), step, list(inner), until)

            return b.for_loop(lo, hi, node, carried)

        task(visit)

    b.parallel_loop([b.ceildiv(b.sub(end, first), size)], chunk, work=work)


def _task(plan: Plan, blocking: Blocking, rows: Packed, cols: Packed, reds: Index, lanes: int, visit: Visit) -> None:
    """List the entries of one chunk and compute them: strip by strip, block by block, run by run."""
    entries, runs = list_entries(plan, visit, blocking)
    emitter = TileEmitter(plan.leaf, plan.tile, plan.shared, lanes, rows, cols, entries, plan.storage.values)

    def one_strip(strip: Index) -> None:
        length = b.minimum(rows.depth, b.sub(reds, b.mul(strip, rows.depth)))
        whole = b.mul(b.ceildiv(length, 2 * lanes), 2 * lanes)
        if runs is None:
            emitter.run(strip, whole, 0, entries.count)
        else:
            runs.for_each(lambda lo, hi: emitter.run(strip, whole, lo, hi))

    b.for_loop(0, b.ceildiv(reds, rows.depth), one_strip)
