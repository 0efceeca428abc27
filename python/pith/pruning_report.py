"""What pruning kept, in numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from .formats import Format, Level
from .formats.pack_digits import slot_limits

#: Elements whose squares are added up at a time, so that float32 sums stay exact to 1e-6 and copies small.
_CHUNK = 1 << 16


@dataclasses.dataclass(frozen=True)
class RankReport:
    """What one rank kept of what the ranks below it had left.

    Attributes:
        rank: the level of the format.
        kept: share of the non-zeros.
        energy: share of the sum of squares.
    """

    rank: str
    kept: float
    energy: float

    def __str__(self) -> str:
        return f"{self.rank:<36} keeps {_percent(self.kept)} of the non-zeros, {_percent(self.energy)} of the energy"


@dataclasses.dataclass(frozen=True)
class PruneReport:
    """What :func:`pith.prune` kept.

    Attributes:
        format: the format pruned to.
        shape: sizes of the tensor.
        density: non-zeros of the result as a share of all elements.
        energy: sum of squares of the result over that of the tensor (1 for a tensor of zeros, NaN where it holds
            infinities or NaN).
        ranks: every limited rank, lowest first.
        pruned: the result.

    Example:
        >>> import pith
        >>> report = pith.prune_report(np.array([[1.0, -4.0, 3.0, 2.0]]), "C0(2:4)")
        >>> print(f"{report.density:.0%} kept, {report.energy:.1%} of the energy:", report.pruned.tolist())
        50% kept, 83.3% of the energy: [[0.0, -4.0, 3.0, 0.0]]
    """

    format: str
    shape: tuple[int, ...]
    density: float
    energy: float
    ranks: tuple[RankReport, ...]
    pruned: np.ndarray = dataclasses.field(repr=False, compare=False)

    def __str__(self) -> str:
        head = f"{'x'.join(map(str, self.shape))} pruned to {self.format}: "
        head += f"density {_percent(self.density)}, energy kept {_percent(self.energy)}"
        return "\n".join([head, *(f"  {rank}" for rank in self.ranks)])


def ranks_of(fmt: Format) -> Iterator[tuple[str, Format]]:
    """Every limited level, lowest first, with the format that limits nothing above it.

    >>> [name for name, _ in ranks_of(Format.make(1, (0, "dense")))]
    []
    """
    limits = sorted(slot_limits(fmt), reverse=True)
    for level in limits:
        levels = tuple(Level("dense") if i < level and i in limits else v for i, v in enumerate(fmt.levels))
        yield f"{fmt.exprs[level]} : {fmt.levels[level]}", dataclasses.replace(fmt, levels=levels)


def report_of(
    before: np.ndarray, fmt: str, stages: Sequence[tuple[str, np.ndarray]], result: np.ndarray
) -> PruneReport:
    """The report of a pruning by stages."""
    measured = [(int(np.count_nonzero(x)), energy_of(x)) for x in (before, *(x for _, x in stages))]
    ranks = [
        RankReport(name, _share(after[0], start[0]), _share(after[1], start[1]))
        for (name, _), start, after in zip(stages, measured, measured[1:])
    ]
    density = np.count_nonzero(result) / max(1, result.size)
    return PruneReport(fmt, result.shape, density, _share(energy_of(result), measured[0][1]), tuple(ranks), result)


def energy_of(x: np.ndarray) -> float:
    """The sum of squares.

    >>> energy_of(np.array([[3.0, -4.0]]))
    25.0
    """
    flat = np.ascontiguousarray(x).ravel()
    total = 0.0
    for begin in range(0, flat.size, _CHUNK):
        part = flat[begin : begin + _CHUNK]
        part = part if part.dtype.kind in "fc" and part.dtype.itemsize > 2 else part.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            energy = float(np.vdot(part, part).real)
            if not np.isfinite(energy) and part.dtype.kind == "f":  # squares beyond f32
                energy = float(np.vdot(wide := part.astype(np.float64), wide))
        total += energy
    return total


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
