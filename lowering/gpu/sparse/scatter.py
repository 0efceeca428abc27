"""Sparse times dense where the entries of a column are neighbours (CSC, also a transposed CSR): atomic additions.

Shares are those of ``merge``, of the columns of the matrix; every entry adds a multiple of a row of the dense operand
to a row of the result::

    for k in share:
      x = dense[k]                     read once per column
      for entries of k: out[coordinate] += value * x        atomic

Sums depend, in their last bits, on which addition comes first.
"""

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...numbers import converted, is_integer, times
from ..host import Host
from ..warp import WARP
from .lanes import THREADS, Lane, Rows, Team
from .merge import Rows as Entries
from .merge import Share


def launch_scatter(host: Host, op: ir.OpView, sums: ir.Type, buffers: dict[str, ir.Value]) -> None:
    """Emit and launch the kernel; ``buffers``: positions, coordinates, values, dense, and out of type ``sums``."""
    columns = b.dim_size(buffers["out"], 1) if buffers["out"].type.rank == 2 else 1
    team = Team.of(columns)
    items = b.add(b.dim_size(buffers["positions"], 0), b.dim_size(buffers["coordinates"], 0))
    grid = [b.ceildiv(b.ceildiv(items, team.items), team.teams), b.ceildiv(columns, team.columns)]
    with host.kernel("scatter", [v.type for v in buffers.values()], THREADS) as (name, block):
        _emit(team, sums, dict(zip(buffers, block.arguments)))
    host.launch(op, name, grid, THREADS, 0, list(buffers.values()))


def _emit(team: Team, sums: ir.Type, given: dict[str, ir.Value]) -> None:
    out = given["out"]
    lane = Lane.here(team, b.dim_size(out, 1) if out.type.rank == 2 else 1, sums)
    dense, target = Rows(given["dense"], sums), Rows(out, sums)
    count = b.sub(b.dim_size(given["positions"], 0), 1)
    share = Share.of(Entries.of(given["positions"], count), lane.share, team.items)
    columns = lane.clamped()

    def column(k: ir.Value, begin: Index, end: Index, whole: ir.Value) -> None:
        factors = [dense.load(k, c, team.width) for c in columns]

        def entry(e: Index) -> None:
            value = lane.spread(converted(memref.load(given["values"], [b.value(e)]), sums))
            row = b.load_index(given["coordinates"], e)
            for (c, exists), factor in zip(places_of(lane), factors):
                term = times(value, factor)
                b.if_else(exists, lambda c=c, term=term: add_to(target, term, row, c))

        first, step = (b.add(begin, lane.number), WARP) if team.by_entries else (begin, 1)
        b.for_loop(first, end, entry, step=step)

    share.for_each_row(column)


def places_of(lane: Lane) -> list[tuple[Index, ir.Value]]:
    """Every lane along entries has the one column there is."""
    if lane.team.by_entries:
        return [(0, arith.constant(ir.IntegerType.get_signless(1), 1))]
    return lane.places()


def add_to(target: Rows, term: ir.Value, row: Index, column: Index) -> None:
    """``target[row, column:] += term``, element by element."""
    kind = arith.AtomicRMWKind.addi if is_integer(term) else arith.AtomicRMWKind.addf
    if not isinstance(term.type, ir.VectorType):
        memref.atomic_rmw(kind, term, target.buffer, target.at(row, column))
        return
    for i in range(term.type.shape[0]):
        memref.atomic_rmw(kind, vector.extract(term, [], [i]), target.buffer, target.at(row, b.add(column, i)))
