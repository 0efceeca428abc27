"""Instruction sets of CPUs, as far as the lowering chooses by them. No MLIR is needed.

>>> [isa.name for isa in ISAS.values() if isa.amx_bf16]
['amx']
>>> parse_isa("avx51")  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
pith.errors.UnsupportedError: unknown instruction set 'avx51'
  hint: did you mean avx512, avx2, avx512-vnni? known: generic, sse, ..., amx
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable
from typing import Any

from pith.errors import UnsupportedError
from pith.runtime.cpu import cpu_features

#: Prefix of an instruction set whose tile and dot instructions are replaced by plain code.
EMULATE = "emulate:"

#: The name that stands for whatever instruction set the host has.
HOST = "host"

#: Environment variable that makes the host count as a smaller machine.
ISA_VARIABLE = "PITH_ISA"

#: :meth:`Isa.dot_gain` of bytes that are multiplied in pairs of 16 bits: two instructions (``vpmaddwd``, ``vpaddd``)
#: for 16 products instead of one for 8. On a Zen 3 core, over sums in f32: all stored 1.5-2.9, 2:4 1.3-2.1, 3:8
#: 1.0-2.2, 1:4 0.4-1.2 (2048x512x256 to 1024x1024x16, 2026-11).
PAIRS_GAIN = 2


@dataclasses.dataclass(frozen=True)
class Isa:
    """What one instruction set offers the lowering.

    Attributes:
        name: what :func:`parse_isa` turns back into this.
        vector_bytes: width of one vector register.
        vector_registers: how many there are.
        fma: fused multiply-add of f32 and f64 vectors.
        vnni: dot products of four unsigned and four signed bytes into i32 lanes (AVX-VNNI or AVX512-VNNI).
        vnni_int8: the same of signed bytes, in vectors of 256 bits (AVX-VNNI-INT8).
        avx512_bf16: two-element bf16 dot products into f32 lanes (``vdpbf16ps``).
        avx512_fp16: arithmetic of f16. No kernel uses it: sums in f16 lose too much.
        amx_bf16, amx_int8: tile products ``tdpbf16ps`` and ``tdpbssd``.
        multiply_adds: how many of the widest vectors begin in a cycle. Zen 4 has two units of 256 bits.
        bf16_gain: multiply-adds of ``vdpbf16ps`` in the time of one in f32, 0 where it is not worth it. See
            :meth:`dot_gain`.
        shuffles_beside_dots: a shuffle of vectors issues beside a dot instruction, so that one for every dot costs
            little. On Zen 4 a load, a shuffle and a dot of 512 bits take a cycle together (2026-11). Intel's AVX-512
            has two ports for both.
        gathers: gathering a masked vector from memory is faster than loading its elements one by one. See below.
        near_level: the cache that what rows store is asked for into, some rows before they are visited. See below.
        l1_bytes, l2_bytes: of the caches of a core, the smallest of processors that have it.
        l3_bytes: of the cache that cores share.
        llvm_cpu: a processor that has it, by LLVM's name.
        features: the flags of ``/proc/cpuinfo`` a processor must have, all of them.
        emulated: plain code stands for the tile and dot instructions, so any processor runs the kernel.

    Of ``gathers``: CSR x one column of f32, GF/s on one core, one by one and gathered. Emerald Rapids, 4096x4096 with
    50, 80 and 95 % zeros: 1.5, 1.5, 1.8 and 2.9, 5.3, 5.2. Zen 4, where gathers are microcoded: 3.2, 3.4, 5.4 and 3.6,
    3.8, 3.8; 2048x2048 with 90 % 5.8 and 3.8, 8192x512 with 99 % 2.7 and 1.0 (2026-11).

    Of ``near_level``: a core of Zen 4 has room for 24 lines on their way to its L1, and waits where rows ask for more.
    With L2, one core: 4096x4096x32 of B(16x32)C0(1:2) 9.9 to 7.8 ms, B(4x4)C0(1:2) 6.3 to 5.9, V(4)C0(2:4) 6.2 to 5.7;
    64 and 256 columns of 2:4 gain 1.01x (2026-11-23). What it does to Intel's cores nobody measured.
    """

    name: str
    vector_bytes: int
    vector_registers: int
    fma: bool = False
    vnni: bool = False
    vnni_int8: bool = False
    avx512_bf16: bool = False
    avx512_fp16: bool = False
    amx_bf16: bool = False
    amx_int8: bool = False
    multiply_adds: int = 2
    bf16_gain: int = 0
    shuffles_beside_dots: bool = False
    gathers: bool = False
    near_level: int = 1
    l1_bytes: int = 32 << 10
    l2_bytes: int = 512 << 10
    l3_bytes: int = 32 << 20
    llvm_cpu: str = "generic"
    features: tuple[str, ...] = ()
    emulated: bool = False

    @property
    def has_masks(self) -> bool:
        """Loads and stores leave lanes out at no cost: a mask is a register of its own.

        Example:
            >>> [isa.name for isa in ISAS.values() if isa.has_masks][0]
            'avx512'
        """
        return "avx512vl" in self.features

    def runs_on(self, features: Iterable[str]) -> bool:
        """True when a processor with these flags executes the instruction set.

        Example:
            >>> ISAS["avx512"].runs_on({"avx2", "fma", "f16c"}), parse_isa("emulate:amx").runs_on(())
            (False, True)
        """
        return self.emulated or set(self.features) <= set(features)

    def widens(self, element: str) -> bool:
        """True for narrow floats whose products are computed in f32.

        Example:
            >>> [name for name, isa in ISAS.items() if not isa.widens("bf16")], ISAS["avx512-fp16"].widens("f16")
            (['avx512-bf16', 'amx'], True)
        """
        return element == "f16" or (element == "bf16" and not (self.amx_bf16 or self.bf16_gain))

    def dot_gain(self, element: str) -> float:
        """How many multiply-adds dot instructions do in the time of one in f32; 0 where they are not worth it.

        ``vdpbf16ps`` does twice as many on Zen 4, where it issues as often as an FMA: one of 512 bits a cycle, the next
        on the same sum six cycles later (FMA and ``vpdpbusd``: four). Dense products take 2.0 to 2.5 times less than in
        f32 (2026-11). On Sapphire Rapids and Emerald Rapids it does half as many: 107 GF/s, f32 216, AMX 3143; without
        AMX 120, f32 200-260 (measured 2026-11), so bf16 is widened to f32 there. VNNI does four times as many (785
        GOP/s beside 200, Emerald Rapids; one ``vpdpbusd`` a cycle on Zen 4, 2026-11). ``vpmaddwd`` and the addition
        behind it: see ``PAIRS_GAIN``.

        Example:
            >>> [ISAS[name].dot_gain("bf16") for name in ("avx512", "avx512-bf16", "avx512-fp16", "amx")]
            [0, 2, 0, 0]
            >>> [ISAS[name].dot_gain("i8") for name in ("sse", "avx2", "avx2-vnni", "amx")]
            [0, 2, 4, 0]
        """
        if element == "bf16":
            return self.bf16_gain
        if element != "i8" or self.amx_int8:
            return 0
        return 4 if self.vnni else PAIRS_GAIN if self.fma else 0


def _and(isa: Isa, name: str, *features: str, **offers: Any) -> Isa:
    """What offers all that ``isa`` does, and more; ``features`` come to those a processor must have."""
    return dataclasses.replace(isa, name=name, features=(*isa.features, *features), **offers)


_AVX2 = Isa("avx2", 32, 16, fma=True, llvm_cpu="x86-64-v3", features=("avx2", "fma", "f16c"))
_AVX2_VNNI = _and(_AVX2, "avx2-vnni", "avx_vnni", llvm_cpu="alderlake", vnni=True)
_WIDE = {"vector_bytes": 64, "vector_registers": 32, "llvm_cpu": "x86-64-v4", "gathers": True}
_AVX512 = _and(_AVX2, "avx512", "avx512f", "avx512bw", "avx512dq", "avx512vl", **_WIDE)
_VNNI = _and(_AVX512, "avx512-vnni", "avx512_vnni", llvm_cpu="cascadelake", vnni=True)
# A processor that offers no more than AVX512-BF16 is Zen 4 (or Cooper Lake). It has 1 MiB of L2: blocks for all of it
# gain 1.03 times for 8 and 64 experts of 512x1024 f32, and lose 1.06 for 1x1 micro-tiles at 95 and 99 % of 1024^3
# (Zen 4, 2026-11), so they are cut for half of it.
_ZEN4 = {"multiply_adds": 1, "bf16_gain": 2, "shuffles_beside_dots": True, "gathers": False, "near_level": 2}
_BF16 = _and(_VNNI, "avx512-bf16", "avx512_bf16", llvm_cpu="znver4", avx512_bf16=True, **_ZEN4)
_CACHES = {"l1_bytes": 48 << 10, "l2_bytes": 2 << 20, "l3_bytes": 64 << 20}
_SAPPHIRE_RAPIDS = _and(_VNNI, "", "avx512_bf16", llvm_cpu="sapphirerapids", avx512_bf16=True, **_CACHES)

#: Every instruction set by name, the smallest first: a host is the last one that it executes.
ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa("generic", 16, 16),
        Isa("sse", 16, 16, llvm_cpu="x86-64", features=("sse2",)),
        _AVX2,
        _AVX2_VNNI,
        _and(_AVX2_VNNI, "avx2-vnni-int8", "avx_vnni_int8", llvm_cpu="arrowlake", vnni_int8=True),
        _AVX512,
        _VNNI,
        _BF16,
        _and(_SAPPHIRE_RAPIDS, "avx512-fp16", "avx512_fp16", avx512_fp16=True),
        _and(_SAPPHIRE_RAPIDS, "amx", "amx_tile", "amx_bf16", "amx_int8", amx_bf16=True, amx_int8=True),
    )
}


def parse_isa(text: str) -> Isa:
    """An instruction set by name; ``host``; or ``emulate:`` and a name, which runs anywhere, slowly.

    Errors: :class:`pith.UnsupportedError` naming the close matches.

    Example:
        >>> parse_isa("emulate:amx").amx_bf16, parse_isa("amx").emulated
        (True, False)
    """
    if text == HOST:
        return host_isa()
    name = text.removeprefix(EMULATE)
    if name not in ISAS:
        close = difflib.get_close_matches(name, ISAS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}? " if close else ""
        raise UnsupportedError(f"unknown instruction set {text!r}", hint=f"{hint}known: {', '.join(ISAS)}")
    return ISAS[name] if name == text else dataclasses.replace(ISAS[name], name=text, emulated=True)


def host_isa() -> Isa:
    """The largest instruction set of this processor, or the one ``PITH_ISA`` names.

    Errors: :class:`pith.UnsupportedError` when ``PITH_ISA`` is unknown or more than the processor has.

    Example:
        >>> host_isa().runs_on(cpu_features())
        True
    """
    features = cpu_features()
    wanted = os.environ.get(ISA_VARIABLE)
    if not wanted or wanted == HOST:
        return [isa for isa in ISAS.values() if isa.runs_on(features)][-1]
    isa = parse_isa(wanted)
    if not isa.runs_on(features):
        missing = ", ".join(sorted(set(isa.features) - features))
        raise UnsupportedError(
            f"this processor does not execute {wanted!r}: it lacks {missing}",
            where=ISA_VARIABLE,
            hint=f"unset it, or set {ISA_VARIABLE}={EMULATE}{wanted} to run such kernels slowly",
        )
    return isa
