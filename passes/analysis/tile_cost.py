"""Choosing a micro-tile: how much of it stays empty, what it costs, and why it was chosen.

Pure Python, so a selector can be tested, and its decisions explained, without any IR.

Source: Zheng et al., PIT, SOSP 2023: an offline table of latency by (tile, covered sparsity), the
argmin over it online, dense always among the candidates.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence

from pith.errors import FileFormatError, FormatError

Tile = tuple[int, ...]


def covered_sparsity(sparsity: float, tile: Sequence[int], block: Sequence[int]) -> float:
    """Share of empty tiles when blocks are empty independently with probability ``sparsity``.

    A tile of extents (dh, dw) meets ceil(dh/bh) * ceil(dw/bw) blocks of extents (bh, bw), at least
    one, and is empty when all of them are: s' = s ** (ceil(dh/bh) * ceil(dw/bw)).

    Example:
        >>> covered_sparsity(0.9, (4, 1), (1, 1)) == 0.9**4
        True
        >>> covered_sparsity(0.9, (4, 1), (8, 1))
        0.9
    """
    return sparsity ** math.prod(-(-t // b) for t, b in zip(tile, block, strict=True))


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """Measured latency by micro-tile and covered sparsity, for one problem on one machine.

    Attributes:
        sparsities: the columns, ascending, each in [0, 1].
        rows: micro-tile -> latency per column; the last columns may be None (not measured).
        dense: latency of the dense kernel.
        extents: extents of the iteration space that was measured.

    Units: latencies in any one unit.

    Errors: :class:`pith.FormatError` for columns out of order, a row of another length or with a
        gap, fewer than three measured cells, or no complete row to complete the others from.
    """

    sparsities: tuple[float, ...]
    rows: Mapping[Tile, tuple[float | None, ...]]
    dense: float
    extents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if list(self.sparsities) != sorted(set(self.sparsities)):
            raise FormatError(f"latency table expects ascending sparsities, got {self.sparsities}")
        complete = False
        for tile, row in self.rows.items():
            known = [v for v in row if v is not None]
            if len(row) != len(self.sparsities) or list(row[: len(known)]) != known or len(known) < 3:
                raise FormatError(
                    f"latency table row {tile_name(tile)} expects {len(self.sparsities)} cells of which at least "
                    f"the first three are measured and only the last may be missing, got {row}"
                )
            complete |= len(known) == len(row)
        if not complete:
            raise FormatError("latency table expects one row without missing cells")

    def latency(self, tile: Tile, covered: float) -> float:
        """Latency at a covered sparsity, linear between the columns and constant outside them.

        A cell that was not measured is completed from the complete row: what that row still gains
        past the last measured column, times how much more this row gained over the two steps before.
        """
        row = self._completed(tile)
        at = bisect.bisect_right(self.sparsities, covered)
        if at == 0 or at == len(row):
            return row[min(at, len(row) - 1)]
        lo, hi = self.sparsities[at - 1], self.sparsities[at]
        share = (covered - lo) / (hi - lo)
        return row[at - 1] + share * (row[at] - row[at - 1])

    def break_even(self, tile: Tile) -> float:
        """The largest share of listed micro-tiles at which ``tile`` is measured no slower than dense."""
        low, high = 0.0, 1.0
        if self.latency(tile, 0.0) <= self.dense:
            return high
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if self.latency(tile, 1.0 - middle) <= self.dense else (low, middle)
        return low

    def _completed(self, tile: Tile) -> list[float]:
        row = [v for v in self.rows[tile] if v is not None]
        missing = len(self.sparsities) - len(row)
        if not missing:
            return row
        model = next(r for r in self.rows.values() if None not in r)
        last = len(row) - 1
        scale = (row[last - 2] - row[last]) / (model[last - 2] - model[last])  # type: ignore[operator]
        return row + [row[last] - scale * (model[last] - m) for m in model[last + 1 :]]  # type: ignore[operator]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
        """Read ``{"extents": [...], "dense": t, "sparsities": [...], "rows": {"32x1": [..., null]}}``.

        Errors: :class:`pith.FileFormatError` when the file cannot be read as that.
        """
        try:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            rows = {tuple(map(int, k.split("x"))): tuple(v) for k, v in data["rows"].items()}
            return cls(tuple(data["sparsities"]), rows, float(data["dense"]), tuple(data.get("extents", ())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"not a latency table: {error}", where=os.fspath(path)) from error


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to run an op.

    Attributes:
        name: ``"dense"`` or what is packed, e.g. ``"32x1"``.
        cost: predicted time, in one unit for all candidates of a decision.
        covered: share of micro-tiles predicted (or measured) empty.
        axis: the packed axis, None for dense.
        micro_tile: extents of the sparse operand's micro-tile.
        tile: extents of the dense tile over the iteration space.
        wasted: share of the work that is done on zeros, where it is known.
        way: how the micro-tile is run, where there is more than one.
        note: what the cost is made of, where a model tells.
    """

    name: str
    cost: float
    covered: float = 0.0
    axis: int | None = None
    micro_tile: Tile = ()
    tile: Tile = ()
    wasted: float | None = None
    way: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Decision:
    """The candidates of one op, cheapest first."""

    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate:
        """The cheapest; on a tie the one listed first when the decision was made (dense)."""
        return self.candidates[0]

    def explain(self) -> str:
        """One line per candidate: how much slower than the chosen one it is predicted to be.

        Example:
            >>> print(decide([Candidate("dense", 3.0), Candidate("32x1", 2.0, 0.5)]).explain())
            32x1   covered 0.500   cost 2   chosen
            dense  covered 0.000   cost 3   x1.50
        """
        width = max(len(c.name) for c in self.candidates)
        best = self.chosen.cost
        lines = []
        for i, c in enumerate(self.candidates):
            ratio = "chosen" if i == 0 else f"x{c.cost / best:.2f}" if best > 0 else "slower"
            note = f"   {c.note}" if c.note else ""
            lines.append(f"{c.name:<{width}}  covered {c.covered:.3f}   cost {c.cost:.4g}   {ratio}{note}")
        return "\n".join(lines)


def decide(candidates: Sequence[Candidate]) -> Decision:
    """Order the candidates by cost; equal costs keep their order, so list dense first."""
    return Decision(tuple(sorted(candidates, key=lambda c: c.cost)))


def tile_name(tile: Sequence[int]) -> str:
    """``32x1`` of ``(32, 1)``; ``*`` stands for 0, a whole dimension."""
    return "x".join(str(t) if t else "*" for t in tile)
