"""Sparse times dense where the entries of a row are neighbours: CSR, DCSR and COO by their rows.

Two kernels (see ``merge``). The first adds up the rows of every share; the second the rows that several shares have::

    for row in share:                          for the row that begins in share s and ends in share t > s:
      acc = sum(value * dense[coordinate])       acc = carries[goes on][s..t-1] + carries[ends][t]
      out[row] = start + acc, or carry acc       out[row] = start + acc

``start`` is what the init holds, or the constant it was filled with; then the init is not read.
"""

import dataclasses

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index
from ...numbers import converted, plus
from ..host import Host
from ..outputs import start_value
from .lanes import THREADS, Lane, Rows, Team, load_columns, store_columns
from .merge import ENDS, GOES_ON, Share, sum_of
from .merge import Rows as Entries

#: Teams from which on shares grow instead: four times the warps that an H100 holds at once (132 processors of 64).
#: It bounds the carries, which are as many as the shares: 32 MiB of f32 for any matrix.
MOST_TEAMS = 32768


@dataclasses.dataclass(frozen=True)
class Gather:
    """A product by rows, on the host.

    Attributes:
        sums: type products are added up in.
        start: constant that results start from; None: what ``out`` holds.
    """

    sums: ir.Type
    start: ir.Attribute | None


@dataclasses.dataclass(frozen=True)
class Buffers:
    """Memrefs of a product by rows, on the host or in a kernel.

    Attributes:
        positions, coordinates, values: of the entries.
        dense, out: matrices with rows along the first dimension, or vectors.
        carries: sums of parts of rows.
        items: of a share.
        listed: where only some rows are stored (DCSR), their coordinates, and positions that tell how many.
    """

    positions: ir.Value
    coordinates: ir.Value
    values: ir.Value
    dense: ir.Value
    out: ir.Value
    carries: ir.Value
    items: ir.Value
    listed: tuple[ir.Value, ...] = ()

    @property
    def all(self) -> list[ir.Value]:
        """As arguments of a kernel."""
        own = (self.positions, self.coordinates, self.values, self.dense, self.out, self.carries, self.items)
        return [*own, *self.listed]

    def inside(self, block: ir.Block) -> "Buffers":
        """The same as the arguments of a kernel's entry block."""
        positions, coordinates, values, dense, out, carries, items, *listed = block.arguments
        return Buffers(positions, coordinates, values, dense, out, carries, items, tuple(listed))


def columns_of(out: ir.Value) -> Index:
    """Columns of a result; a vector has one."""
    return b.dim_size(out, 1) if out.type.rank == 2 else 1


def launch_gather(
    host: Host, op: ir.OpView, gather: Gather, given: dict[str, ir.Value], listed: tuple[ir.Value, ...] = ()
) -> None:
    """Emit and launch both kernels; ``given`` are the buffers but for the carries."""
    columns = columns_of(given["out"])
    team = Team.of(columns)
    everything = b.add(b.dim_size(given["positions"], 0), b.dim_size(given["coordinates"], 0))
    tiles = b.ceildiv(columns, team.columns)
    items = b.maximum(team.items, b.ceildiv(b.mul(everything, tiles), MOST_TEAMS))
    shares = b.ceildiv(everything, items)
    dynamic = ir.ShapedType.get_dynamic_size()
    width = columns if isinstance(columns, int) else dynamic
    carries = host.allocate(ir.MemRefType.get([2, dynamic, width], gather.sums), [2, shares, columns])
    buffers = Buffers(**given, carries=carries, items=b.value(items), listed=listed)
    grid = [b.ceildiv(shares, team.teams), tiles]
    for kind, emit in (("spmm", _emit_shares), ("carry", _emit_carries)):
        with host.kernel(kind, [v.type for v in buffers.all], THREADS) as (name, block):
            emit(gather, team, buffers.inside(block))
        host.launch(op, name, grid, THREADS, 0, buffers.all)


def _entries(buffers: Buffers) -> Entries:
    """All rows, or those that are listed."""
    if not buffers.listed:
        return Entries.of(buffers.positions, b.dim_size(buffers.out, 0))
    return Entries.of(buffers.positions, b.load_index(buffers.listed[1], 1))


def _emit_shares(gather: Gather, team: Team, buffers: Buffers) -> None:
    lane = Lane.here(team, columns_of(buffers.out), gather.sums)
    share = Share.of(_entries(buffers), lane.share, buffers.items)
    dense = Rows(buffers.dense, gather.sums)

    def entry(e: Index) -> tuple[Index, ir.Value]:
        value = memref.load(buffers.values, [b.value(e)])
        return b.load_index(buffers.coordinates, e), converted(value, gather.sums)

    def row(r: ir.Value, begin: Index, end: Index, whole: ir.Value) -> None:
        sums = lane.dot(begin, end, entry, dense)
        b.if_else(
            whole,
            lambda: finish(gather, lane, buffers.out, _place_of(buffers, r), sums),
            lambda: _carry(lane, buffers, share.carry_slot(r), sums),
        )

    share.for_each_row(row)


def _carry(lane: Lane, buffers: Buffers, slot: ir.Value, sums: list[ir.Value]) -> None:
    for (column, exists), value in zip(lane.places(), sums):
        at = [slot, b.value(lane.share), b.value(column)]
        b.if_else(exists, lambda v=value, at=at: store_columns(v, buffers.carries, at))


def _place_of(buffers: Buffers, row: Index) -> Index:
    """The row of the result that a stored row is."""
    return b.load_index(buffers.listed[0], row) if buffers.listed else row


def finish(gather: Gather, lane: Lane, written: ir.Value, row: Index, sums: list[ir.Value]) -> None:
    """``written[row] = start + sums``."""
    out = Rows(written, gather.sums)

    def store(column: Index, value: ir.Value) -> None:
        if gather.start is None:
            before = out.load(row, column, lane.team.width)
        else:
            constant = start_value(gather.start, written, ())
            before = lane.spread(converted(constant, gather.sums))
        out.store(plus(before, value), row, column)

    for (column, exists), value in zip(lane.places(), sums):
        b.if_else(exists, lambda c=column, v=value: store(c, v))


def _emit_carries(gather: Gather, team: Team, buffers: Buffers) -> None:
    """Rows that several shares have, each by the team whose share it begins in."""
    lane = Lane.here(team, columns_of(buffers.out), gather.sums)
    share = Share.of(_entries(buffers), lane.share, buffers.items)
    carries = buffers.carries
    columns = lane.clamped()

    def part(slot: int, number: Index) -> list[ir.Value]:
        return [load_columns(carries, [b.value(i) for i in (slot, number, c)], team.width) for c in columns]

    def add_up() -> None:
        last = share.share_of_end(buffers.items)
        sums = part(GOES_ON, lane.share)
        following = b.add(lane.share, 1)
        sums = b.for_loop(following, last, lambda s, *acc: sum_of(list(acc), part(GOES_ON, s)), sums)
        row = _place_of(buffers, share.last)
        finish(gather, lane, buffers.out, row, sum_of(sums, part(ENDS, last)))

    b.if_else(share.begins_long_row(), add_up)
