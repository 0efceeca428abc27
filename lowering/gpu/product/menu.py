"""The tiles a product may take on a GPU, as data, and what is known of them on paper.

Nothing here was measured: :func:`predicted_cycles` weighs what a tile asks of tensor cores and shared memory, and how
evenly the tiles of a product fill the chip. A database of measured tiles goes first where there is one.
"""

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class TileChoice:
    """One way to run a product.

    Attributes:
        m, n: the block's tile of the output.
        k_bytes: bytes along k of the tiles of the inputs.
        warps: (down, across).
        stages: copies of the shared tiles.
        splits: blocks that share a tile of the output, each with a part of k; 0: as the planner finds.
    """

    m: int
    n: int
    k_bytes: int
    warps: tuple[int, int]
    stages: int
    splits: int = 0

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.warps[0] * self.warps[1]

    @property
    def suits_warpgroups(self) -> bool:
        """Whether four warps below each other own whole instructions of ``wgmma``: 64 rows each."""
        return self.warps[0] % 4 == 0 and self.m % (16 * self.warps[0]) == 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """What a tile database calls it: m, n, bytes along k, warps down and across, stages."""
        return (self.m, self.n, self.k_bytes, *self.warps, self.stages)


#: Tensor cores, any element type: warp tiles of 64 x 64 (128 sums per thread) at most, and 8 warps per multiprocessor
#: at least: blocks of 4 warps take no more shared memory than half of an A100's 164 KiB.
MMA_MENU: tuple[TileChoice, ...] = (
    TileChoice(128, 256, 64, (2, 4), 4),
    TileChoice(256, 128, 64, (4, 2), 4),
    TileChoice(128, 128, 64, (2, 2), 4),
    TileChoice(128, 128, 64, (2, 4), 4),
    TileChoice(128, 64, 128, (2, 2), 3),
    TileChoice(64, 128, 128, (2, 2), 3),
    TileChoice(64, 64, 128, (2, 2), 3),
    TileChoice(32, 128, 128, (1, 4), 3),
    TileChoice(128, 32, 128, (4, 1), 3),
    TileChoice(32, 64, 128, (1, 4), 4),
    TileChoice(64, 32, 128, (4, 1), 4),
    TileChoice(32, 32, 128, (2, 2), 4),
    TileChoice(16, 64, 128, (1, 4), 4),
    TileChoice(16, 128, 128, (1, 4), 4),
)
#: Warpgroups (``wgmma``), 4 warps each: 64 rows and up to 256 columns at once, read from rows of 128 bytes. One of the
#: copies is still being read while the next is filled, so there are four, or three and room for a second block.
WGMMA_MENU: tuple[TileChoice, ...] = (
    TileChoice(128, 256, 128, (8, 1), 4),
    TileChoice(256, 128, 128, (8, 1), 4),
    TileChoice(128, 192, 128, (8, 1), 4),
    TileChoice(128, 128, 128, (8, 1), 4),
    TileChoice(128, 128, 128, (4, 1), 3),
    TileChoice(64, 256, 128, (4, 1), 4),
    TileChoice(64, 128, 128, (4, 1), 4),
    TileChoice(128, 64, 128, (4, 1), 4),
    TileChoice(64, 64, 128, (4, 1), 4),
)
#: f32 FMAs; ``warps`` says nothing there: the 256 threads are a square.
FMA_MENU: tuple[TileChoice, ...] = (
    TileChoice(128, 128, 64, (2, 4), 3),
    TileChoice(128, 64, 64, (2, 4), 3),
    TileChoice(64, 128, 64, (2, 4), 3),
    TileChoice(64, 64, 64, (2, 4), 3),
    TileChoice(32, 64, 64, (2, 4), 3),
    TileChoice(64, 32, 64, (2, 4), 3),
    TileChoice(32, 32, 64, (2, 4), 3),
    TileChoice(16, 64, 64, (2, 4), 3),
    TileChoice(16, 16, 64, (2, 4), 3),
)

#: What a size that only run time knows counts as.
TYPICAL = 1024
#: Per clock and multiprocessor: f16 multiply-adds of mma.sync (A100; H100 has more, in the same proportion to
#: tiles), and bytes of shared memory. From NVIDIA's A100 white paper.
_MMA_PER_CLOCK, _SHARED_BYTES_PER_CLOCK = 1024, 128


def predicted_cycles(choice: TileChoice, sizes: tuple[int, int, int, int], processors: int, gain: float = 1.0) -> float:
    """Clocks a product of ``sizes`` (batch, m, n, k bytes) takes on ``processors`` multiprocessors, on paper.

    ``gain``: how much faster warpgroups multiply, which take the tiles that suit them.

    Example:
        >>> big, small = TileChoice(128, 256, 64, (2, 4), 4), TileChoice(32, 64, 128, (1, 4), 4)
        >>> large, skinny = (1, 4096, 4096, 8192), (1, 32, 4096, 8192)
        >>> predicted_cycles(big, large, 132) < predicted_cycles(small, large, 132)
        True
        >>> predicted_cycles(small, skinny, 132) < predicted_cycles(big, skinny, 132)
        True
    """
    batch, m, n, k_bytes = sizes
    blocks = batch * -(-m // choice.m) * -(-n // choice.n)
    steps = -(-k_bytes // choice.k_bytes)
    down, across = choice.m // choice.warps[0], choice.n // choice.warps[1]
    # Per step: multiply-adds of 2-byte elements, what warps read of shared memory, and a barrier.
    arithmetic = choice.m * choice.n * choice.k_bytes / 2 / _MMA_PER_CLOCK
    reads = choice.warps[0] * choice.warps[1] * (down + across) * choice.k_bytes / _SHARED_BYTES_PER_CLOCK
    if gain > 1 and choice.suits_warpgroups:
        # Instructions read what they multiply: 64 rows, and all columns of the warpgroup.
        arithmetic /= gain
        instructions = choice.m // 64 * choice.warps[1]
        reads = instructions * (64 + across) * choice.k_bytes / _SHARED_BYTES_PER_CLOCK
    writes = (choice.m + choice.n) * choice.k_bytes / _SHARED_BYTES_PER_CLOCK
    step = max(arithmetic, reads + writes) + 0.5 * min(arithmetic, reads + writes)
    # A block alone on its multiprocessor also waits for its barriers; two or more hide that.
    waves = -(-blocks // processors)
    return waves * (steps * step + choice.m * choice.n * 4 / _SHARED_BYTES_PER_CLOCK) + 30 * steps


def fastest(menu: Sequence[TileChoice], seconds: Mapping[tuple[int, ...], float]) -> TileChoice | None:
    """The choice of ``menu`` that was measured to be the fastest, None where none was.

    Example:
        >>> fastest(MMA_MENU, {(128, 128, 64, 2, 4, 4): 2e-4, (64, 64, 128, 2, 2, 4): 3e-4}).m
        128
    """
    return min((c for c in menu if c.numbers in seconds), key=lambda c: seconds[c.numbers], default=None)


def best(
    menu: Sequence[TileChoice], sizes: tuple[int, int, int, int], processors: int, gain: float = 1.0
) -> TileChoice:
    """The choice of ``menu`` with the fewest predicted cycles; sizes below 0 count as :data:`TYPICAL`."""
    known = tuple(TYPICAL if s < 0 else max(s, 1) for s in sizes)
    return min(menu, key=lambda choice: predicted_cycles(choice, known, processors, gain))  # type: ignore[arg-type]
