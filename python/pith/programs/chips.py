"""What GPU architectures offer, as data: limits that code must keep to, and rates that the cost model counts with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Chip:
    """One GPU architecture, and the rates of one device that has it.

    Attributes:
        ptx: PTX version (major * 10 + minor) asked of the code generator: the first that knows the chip.
        max_shared_bytes: largest dynamic shared memory of one block (opt-in above 48 KiB).
        shared_per_sm: shared memory of a multiprocessor that resident blocks divide.
        max_threads, max_blocks: resident on a multiprocessor.
        device: whose numbers the following are.
        sms: multiprocessors.
        clock: of the multiprocessors under load.
        bandwidth: of the device memory.
        l2_bytes: size of the L2 cache.
        flops: operations per clock and multiprocessor by element type, a multiply-add being two: dense tensor cores
            for ``f16``, ``bf16``, ``tf32`` and ``i8``, ordinary units for ``f32`` and ``f64``.
        mma_share: share of the tensor cores' rate that ``mma.sync`` can reach.
        wgmma: warpgroups can multiply, at the full rate.
        boxes: kernels take tensor maps: a copy engine brings boxes of arrays.

    Units: bytes, hertz, bytes per second.
    """

    ptx: int
    max_shared_bytes: int
    shared_per_sm: int
    max_threads: int
    max_blocks: int
    device: str
    sms: int
    clock: float
    bandwidth: float
    l2_bytes: int
    flops: Mapping[str, int]
    mma_share: float = 1.0
    wgmma: bool = False
    boxes: bool = False
    registers: int = 64 * 1024  # 32-bit, of a multiprocessor; the same on all of these

    def __hash__(self) -> int:
        return hash((self.device, self.ptx))

    def peak(self, element: str, warpgroups: bool = False) -> float:
        """Operations per second on values of ``element`` that ``mma.sync`` or the ordinary units can reach.

        ``warpgroups``: or that warpgroups can, if the chip has them.

        Example:
            >>> round(CHIPS["sm_80"].peak("f16") / 1e12), round(CHIPS["sm_80"].peak("f32") / 1e12, 1)
            (312, 19.5)
        """
        share = self.mma_share if element in _TENSOR and not (warpgroups and self.wgmma) else 1.0
        return self.flops.get(element, self.flops["f32"]) * self.sms * self.clock * share


_TENSOR = ("f16", "bf16", "tf32", "i8")
_KIB, _MIB = 1024, 1024 * 1024


def _rates(tensor: int, f32: int, f64: int) -> dict[str, int]:
    """Rates per clock of an architecture: tf32 at half, i8 at twice the rate of 16-bit floats."""
    return {"f16": tensor, "bf16": tensor, "tf32": tensor // 2, "i8": 2 * tensor, "f32": f32, "f64": f64}


_HOPPER = Chip(
    78, 227 * _KIB, 228 * _KIB, 2048, 32, "H100 SXM", 132, 1.83e9, 3.35e12, 50 * _MIB, _rates(4096, 256, 128),
    # Tensor cores of Hopper run at full rate under wgmma only; mma.sync: 63 % (Luo et al., Benchmarking and
    # Dissecting the Nvidia Hopper GPU Architecture, 2024).
    mma_share=0.63,
)  # fmt: skip

# Limits: CUDA C++ Programming Guide, technical specifications per compute capability. PTX versions: PTX ISA, release
# notes (first version that lists the target; sm_80 is in 7.0 and sm_90a in 8.0, but mma.sp takes 7.1, sparse wgmma
# 8.2). Rates, clocks and bandwidths: the vendor's white papers and data sheets for the device named; none of them was
# measured by this project.
# Chips before sm_80 are absent on purpose: they lack mma.sync m16n8k16.
CHIPS: dict[str, Chip] = {
    "sm_80": Chip(
        71, 163 * _KIB, 164 * _KIB, 2048, 32, "A100 SXM 40 GB", 108, 1.41e9, 1.555e12, 40 * _MIB, _rates(2048, 128, 64)
    ),
    "sm_86": Chip(71, 99 * _KIB, 100 * _KIB, 1536, 16, "A40", 84, 1.74e9, 0.696e12, 6 * _MIB, _rates(1024, 256, 4)),
    "sm_87": Chip(
        74, 163 * _KIB, 164 * _KIB, 1536, 16, "Jetson AGX Orin", 16, 1.3e9, 0.205e12, 4 * _MIB, _rates(1024, 256, 4)
    ),
    "sm_89": Chip(78, 99 * _KIB, 100 * _KIB, 1536, 24, "L40S", 142, 2.52e9, 0.864e12, 96 * _MIB, _rates(1024, 256, 4)),
    "sm_90": _HOPPER,
    "sm_90a": dataclasses.replace(
        _HOPPER, ptx=82, wgmma=True, boxes=True
    ),  # what only runs on 9.0: the instructions of PTX for sm_90a
    # mma.sync on data-centre Blackwell: taken to be as fast per multiprocessor as on the A100; nobody has looked.
    "sm_100": Chip(
        86, 227 * _KIB, 228 * _KIB, 2048, 32, "B200", 148, 1.85e9, 8e12, 126 * _MIB, _rates(8192, 256, 64), 0.25
    ),
    "sm_120": Chip(
        87, 99 * _KIB, 100 * _KIB, 1536, 24, "GeForce RTX 5090", 170, 2.41e9, 1.792e12, 96 * _MIB, _rates(512, 256, 4)
    ),
}
