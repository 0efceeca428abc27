"""How many blocks of a kernel a multiprocessor holds, what limits them, and how many rounds a grid takes."""

from __future__ import annotations

import dataclasses
import math

from .chips import Chip

WARP = 32

#: Registers are handed out to warps in units of this many (CUDA occupancy calculator, all chips since sm_70).
_REGISTER_UNIT = 256

#: Shared memory that the system keeps of each block (CUDA C++ Programming Guide, sm_80 and later).
_RESERVED_SHARED = 1024


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """What a multiprocessor holds of one kernel.

    Attributes:
        blocks: resident blocks; 0: the kernel does not fit.
        warps: of all of them.
        limit: what keeps another block out: ``registers``, ``shared memory``, ``threads`` or ``blocks``.
    """

    blocks: int
    warps: int
    limit: str

    def __str__(self) -> str:
        if not self.blocks:
            return f"does not fit ({self.limit})"
        return f"{self.blocks} block{'s' if self.blocks > 1 else ''} of an SM ({self.limit})"


def occupancy(chip: Chip, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """Resident blocks of a kernel.

    Args:
        threads: of a block.
        registers: of a thread, as ``ptxas -v`` tells them.
        shared_bytes: static and dynamic, of a block.

    Source: the rules of NVIDIA's occupancy calculator.

    Example:
        >>> from pith.programs.chips import CHIPS
        >>> occupancy(CHIPS["sm_90"], 128, 128, 32 * 1024)
        Occupancy(blocks=4, warps=16, limit='registers')
        >>> str(occupancy(CHIPS["sm_90"], 256, 64, 100 * 1024)), str(occupancy(CHIPS["sm_89"], 128, 64, 128 * 1024))
        ('2 blocks of an SM (shared memory)', 'does not fit (shared memory)')
    """
    warps = -(-threads // WARP)
    unit = math.ceil(max(registers, 1) * WARP / _REGISTER_UNIT) * _REGISTER_UNIT
    fits = {
        "registers": chip.registers // (unit * warps) if registers <= 255 else 0,
        "shared memory": chip.shared_per_sm // (shared_bytes + _RESERVED_SHARED),
        "threads": chip.max_threads // (warps * WARP),
        "blocks": chip.max_blocks,
    }
    if shared_bytes > chip.max_shared_bytes:
        fits["shared memory"] = 0
    limit = min(fits, key=lambda name: fits[name])
    return Occupancy(fits[limit], fits[limit] * warps, limit)
