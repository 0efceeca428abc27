"""Convert products with an operand that is walked entry by entry to kernels and launches."""

import dataclasses

from pith._mlir import arith, gpu, ir, memref
from pith.formats import Format, buffer_specs

from ... import builder as b
from ...builder import Index
from ...numbers import zero
from ...sparse import levels
from ..host import Host
from ..linalg.transpose import add_into, transposed
from ..outputs import constant_of, destination, extents
from ..product.epilogue import fuse_consumers
from .climb import first_not
from .diagonals import launch_diagonals
from .gather import Gather, launch_gather
from .match import SparseProduct, kind_of, match_sparse_product
from .scatter import launch_scatter

_THREADS = 256


def is_walked(fmt: Format) -> bool:
    """True for formats whose products run entry by entry: CSR, CSC, DCSR, COO, and diagonals."""
    return kind_of(fmt) is not None


def convert_sparse_product(host: Host, op: ir.OpView, sparse: int) -> None:
    """Emit the kernels of a product with such an operand, and their launches.

    Operands and results whose columns are not neighbours are transposed on the way: kernels read and write rows.
    """
    product = match_sparse_product(op, sparse)
    storage = storage_on_host(host, op, op.operands[sparse], product.format)
    entries = _entries(host, op, product, storage)
    dense = host.buffers_of(op, op.operands[product.dense])[-1]
    if product.dense_dims == (1, 0):
        dense = transposed(host, op, dense)
    work = _Work(host, op, product, storage, entries, dense)
    if product.gathers and product.out_dims != (1, 0):
        results, out = [op.results[0]], _gather(host, op, product, work)
    else:
        results, out = _add_up(host, op, product, work)
    for result in results:
        host.bind(result, [out])


@dataclasses.dataclass(frozen=True)
class _Work:
    """The kernels of a product, which write to a buffer they are told."""

    host: Host
    op: ir.OpView
    product: SparseProduct
    storage: levels.Storage
    entries: dict[str, ir.Value]
    dense: ir.Value

    @property
    def listed(self) -> tuple[ir.Value, ...]:
        """Where only some rows are stored, their coordinates and positions."""
        if kind_of(self.product.format) != "listed rows":
            return ()
        return (self.storage.metadata[0, "coordinates"], self.storage.metadata[0, "positions"])

    def launch(self, out: ir.Value, start: ir.Attribute | None) -> None:
        """``out = start + product``; start None: what ``out`` holds."""
        gather = Gather(self.product.sums, start)
        if kind_of(self.product.format) == "diagonals":
            launch_diagonals(self.host, self.op, self.product, self.storage, gather, self.dense, out)
            return
        given = {**self.entries, "dense": self.dense, "out": out}
        if self.product.gathers:
            launch_gather(self.host, self.op, gather, given, self.listed)
        else:
            launch_scatter(self.host, self.op, self.product.sums, given)


def _gather(host: Host, op: ir.OpView, product: SparseProduct, work: _Work) -> ir.Value:
    """Results by rows, where they belong; rows that are not listed keep the init."""
    constant = None if work.listed else constant_of(product.init)
    out = host.init_buffer(op, product.init) if constant is None else destination(host, op, product.init)
    work.launch(out, constant)
    return out


def _add_up(host: Host, op: ir.OpView, product: SparseProduct, work: _Work) -> tuple[list[ir.Value], ir.Value]:
    """Sums in memory of their own, then the result, or that of the consumers that can be computed along."""
    constant, out_transposed = constant_of(product.init), product.out_dims == (1, 0)
    fused = fuse_consumers(host, op) if constant is not None and product.has_columns else None
    zeroed = not product.gathers or bool(work.listed)
    sums = _sums(host, op, product, out_transposed, zeroed)
    work.launch(sums, None if zeroed else zero(product.sums))
    last = fused.epilogue.last if fused else op
    init = last.operands[len(last.operands) - 1]
    out = host.init_buffer(op, init) if constant is None else destination(host, last, init)
    add_into(host, op, sums, out, constant, out_transposed, fused)
    return [op.results[0], *(o.results[0] for o in (fused.epilogue.chain if fused else ()))], out


def storage_on_host(host: Host, op: ir.OpView, value: ir.Value, fmt: Format) -> levels.Storage:
    """The buffers of an encoded tensor as they are launched with."""
    buffers = host.buffers_of(op, value)
    sizes = tuple(host.dim(op, value, d) for d in range(fmt.rank))
    metadata = dict(zip(((s.level, s.role) for s in buffer_specs(fmt)), buffers))
    return levels.Storage(fmt, levels.level_sizes(fmt, sizes), metadata, buffers[-1], sizes)


def _entries(host: Host, op: ir.OpView, product: SparseProduct, storage: levels.Storage) -> dict[str, ir.Value]:
    """Positions, coordinates and values of rows, whatever the format calls them; diagonals have no such lists."""
    if kind_of(product.format) == "diagonals":
        return {}
    if kind_of(product.format) == "entries":
        outer = product.format.exprs[0].dim
        positions = _positions_of(host, op, storage.metadata[0, "coordinates"], storage.sizes[outer])
    else:
        positions = storage.metadata[1, "positions"]
    return {"positions": positions, "coordinates": storage.metadata[1, "coordinates"], "values": storage.values}


def _sums(host: Host, op: ir.OpView, product: SparseProduct, out_transposed: bool, zeroed: bool) -> ir.Value:
    """Memory for sums by rows of the sparse operand, in the type they are added up in."""
    sizes = extents(host, op, product.init)
    sizes = sizes[::-1] if out_transposed else sizes
    if zeroed:
        return host.zeros(op, sizes, product.sums)
    dynamic = ir.ShapedType.get_dynamic_size()
    shape = [s if isinstance(s, int) else dynamic for s in sizes]
    return host.allocate(ir.MemRefType.get(shape, product.sums), sizes)


def _positions_of(host: Host, op: ir.OpView, coordinates: ir.Value, rows: Index) -> ir.Value:
    """Where the entries of every row begin, from their sorted coordinates."""
    i32 = ir.IntegerType.get_signless(32)
    count = b.add(rows, 1)
    positions = host.allocate(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32), [count])
    with host.kernel("positions", [coordinates.type, positions.type], _THREADS) as (name, block):
        read, write = block.arguments
        row = b.add(b.mul(gpu.block_id(gpu.Dimension.x), _THREADS), gpu.thread_id(gpu.Dimension.x))

        def search() -> None:
            entries = b.dim_size(read, 0)
            begin = first_not(0, entries, lambda e: b.less(b.load_index(read, e), row))
            memref.store(arith.index_cast(i32, begin), write, [b.value(row)])

        b.if_else(b.less(row, b.dim_size(write, 0)), search)
    host.launch(op, name, [b.ceildiv(count, _THREADS)], _THREADS, 0, [coordinates, positions])
    return positions
