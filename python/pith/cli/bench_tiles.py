"""``pith bench --tiles``: write the tile database of this machine."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pith.errors import ArgumentError, DTypeError

if TYPE_CHECKING:
    from ..tuning.tiles import TileTable

#: Seconds after which no new problem is begun, and in a quick run.
FULL, QUICK = 140.0, 20.0

#: Element types that are measured, and all that can be.
_USUAL = ("f32", "f64")
_ELEMENTS = (*_USUAL, "f16", "bf16", "i8")


def measure(args: argparse.Namespace) -> int:
    """Measure, write, and show where each micro-tile begins to beat dense."""
    from ..functional.conv2d.library import forget_repeated
    from ..functional.dynamic.memory import forget_decisions
    from ..progress import ProgressBar
    from ..tuning import tiles
    from ..tuning.tiles_measure import Settings, measure_tiles

    if args.calibrate or args.matrix or args.samples:
        raise ArgumentError("is measured alone", where="--tiles", hint="pith bench --tiles [--quick] [--output FILE]")
    if args.element not in (None, *_ELEMENTS):
        raise DTypeError(f"no tiles for {args.element!r}", where="--element", hint="one of " + ", ".join(_ELEMENTS))
    path = args.output or tiles.own_path()
    old = tiles.read_tables(path.read_text(), str(path), "own") if path.exists() else []
    settings = Settings(
        seconds=QUICK if args.quick else FULL,
        rounds=3 if args.quick else 5,
        threads=args.threads or tuple(sorted({1, len(os.sched_getaffinity(0))})),
        elements=(args.element,) if args.element else _USUAL,
    )
    with ProgressBar() as progress:
        found = measure_tiles(settings, progress)
    taken = {_key(t) for t in found}
    tiles.write_tables(path, [*found, *(t for t in old if _key(t) not in taken)])
    tiles.forget_tables()
    forget_decisions()
    forget_repeated()
    sys.stdout.write("\n\n".join(map(_summary, found)) + f"\n\nwritten: {path}\n")
    return 0


def _key(t: TileTable) -> tuple[str, str, int, str, str]:
    return t.cpu, t.isa, t.threads, t.element, t.side


def _summary(table: TileTable) -> str:
    """Per problem and micro-tile, the share of micro-tiles up to which it beats dense."""
    from ..tuning.tiles import name_of

    names = [name_of(tile) for tile in table.measured[0].table.rows]
    threads = f"{table.threads} thread{'s' if table.threads > 1 else ''}"
    lines = [
        f"{table.element}, sparse operand {table.side}, {threads}: listed micro-tiles up to which each beats dense"
    ]
    lines.append(f"{'problem':<16} {'dense':>9} " + " ".join(f"{n:>8}" for n in names))
    for m in table.measured:
        shares = " ".join(f"{m.table.break_even(tile):>8.1%}" for tile in m.table.rows)
        lines.append(f"{'x'.join(map(str, m.table.extents)):<16} {m.table.dense * 1e3:>6.2f} ms {shares}")
    return "\n".join(lines)
