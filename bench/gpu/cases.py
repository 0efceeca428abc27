"""What is measured on a GPU: one table of cases, and what is asked of each.

A case names a family (``programs.py`` has its program, ``problems.py`` its operands and its result in float64), what
its kernel is compiled for, what the data look like, who it is compared with, and how fast it has to be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .peers_table import BSR, CUBLAS, CUSPARSE, CUSPARSELT, CUTLASS, FLEX, GROUPED, LOOP, READ, SDPA, TRITON_BSR


@dataclasses.dataclass(frozen=True)
class Need:
    """A ratio this project asks for: pith at least ``ratio`` times as fast as a peer, in the same run."""

    peer: str
    ratio: float
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: unique, fit for a file name.
        family: a key of ``programs.PROGRAMS`` and ``problems.PROBLEMS``.
        build: what the kernel is compiled for; cases that agree in it and in the family share a kernel.
        data: what the operands hold.
        peers: who else computes it.
        needs: what is asked for.
        small: sizes for a run under emulation.
        series: cases of one series belong together: their times must fall with the share of what is kept.
        call_us: microseconds that the host may spend on a call; 0: that is not measured.
        target: what its kernel is compiled for, where that is not what the others are.
    """

    name: str
    family: str
    build: Mapping[str, Any]
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    peers: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    small: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    series: str = ""
    call_us: float = 0.0
    target: str = ""

    @property
    def kernel(self) -> str:
        """Name of the kernel's file.

        >>> Case("x", "dense", {"m": 8, "element": "f16", "format": "C1(1:2)->C0(2:4)"}).kernel
        'dense-8-f16-C1_1_2___C0_2_4_'
        """
        words = [*filter(None, [self.target]), self.family, *map(str, self.build.values())]
        return "-".join("".join(c if c.isalnum() else "_" for c in word) for word in words)

    @property
    def asked(self) -> bool:
        """Whether this project promises anything about it."""
        return bool(self.needs or self.series or self.call_us)

    def scaled(self) -> Case:
        """The same case at the sizes for emulation."""
        known = {k: v for k, v in self.small.items() if k in self.build}
        other = {k: v for k, v in self.small.items() if k not in self.build}
        return dataclasses.replace(self, build={**self.build, **known}, data={**self.data, **other})


_MNK = {"m": 4096, "n": 4096, "k": 4096}
#: Sizes that no tile divides, small enough for an emulator.
_TINY = {"m": 72, "n": 40, "k": 136}

#: PIT SpMM: times cuBLAS at each share of empty micro-tiles, index build included.
_PIT = {0.5: 1.2, 0.9: 3.5, 0.95: 6.0, 0.99: 15.0}

#: The degrees of HighLight: outer and inner groups.
_OUTER, _INNER = ("4:4", "4:5", "4:6", "4:7"), ("4:4", "2:4", "1:4")


def _dense() -> list[Case]:
    sizes = {"small": _TINY, "peers": (CUBLAS,)}
    needs = (Need(CUBLAS, 0.7, "dense, generated"),)
    cases = [Case("dense-4096-f16", "dense", {**_MNK, "element": "f16"}, needs=needs, **sizes)]
    # Warpgroups: the planner's tile; under emulation the smallest there is.
    groups = {"target": "sm_90a", "peers": (CUBLAS,), "small": {**_TINY, "tile": "64x64x128x4x1x3"}}
    needs = (Need(CUBLAS, 0.85, "dense, generated, wgmma"),)
    build = {**_MNK, "element": "f16", "tile": ""}
    cases += [Case("dense-4096-f16-wgmma", "dense", build, needs=needs, **groups)]
    cases += [Case("dense-4096-bf16-wgmma", "dense", {**build, "element": "bf16"}, **groups)]
    # mma.sync again, its operands in boxes: what the copy engine alone is worth.
    boxes = {**groups, "small": {**_TINY, "tile": "32x64x128x2x2x3"}}
    cases += [Case("dense-4096-f16-boxes", "dense", {**build, "tile": "128x256x64x2x4x4"}, **boxes)]
    cases += [Case(f"dense-4096-{e}", "dense", {**_MNK, "element": e}, **sizes) for e in ("bf16", "f32", "i8")]
    tall = {"m": 8192, "n": 8192, "k": 8192, "element": "f16"}
    return [*cases, Case("dense-8192-f16", "dense", tall, **sizes)]


def _pit() -> list[Case]:
    cases = []
    for block in ((32, 1), (1, 64)):
        text = f"{block[0]}x{block[1]}"
        for empty, ratio in _PIT.items():
            needs = (Need(CUBLAS, ratio, f"PIT {text}, {empty:.0%} empty, index build included"),)
            name, build = f"pit-{text}-{empty * 100:.0f}", {**_MNK, "element": "f16", "block": block}
            cases.append(Case(name, "pit", build, {"empty": empty}, (CUBLAS, CUSPARSE), needs, _TINY))
    for empty in _PIT:
        needs = (Need(TRITON_BSR, 1.0, f"PIT 32x64, {empty:.0%} empty, against Triton block-sparse"),)
        build = {**_MNK, "element": "f16", "block": (32, 64)}
        peers = (CUBLAS, TRITON_BSR, BSR)
        cases.append(Case(f"pit-32x64-{empty * 100:.0f}", "pit", build, {"empty": empty}, peers, needs, _TINY))
    return cases


def _axes() -> list[Case]:
    """Whole rows, whole columns of what is contracted, and columns of the result."""
    sizes = {"n": 2048, "k": 2048, "m": 2048, "element": "f16"}
    cases = [
        Case(f"pit-{axis}-axis", "axis", {**sizes, "axis": axis}, {"empty": 0.75}, (CUBLAS,), small=_TINY)
        for axis in "mnk"
    ]
    build = {**sizes, "m": 16384, "axis": "k", "resident": 16 * 32 * 64}
    return [*cases, Case("overbooked-k-axis", "axis", build, {"empty": 0.75}, (CUBLAS,), small=_TINY)]


def _detect() -> list[Case]:
    cases = []
    for block in ("32x1", "1x64", "32x64"):
        build = {"m": 4096, "k": 4096, "element": "f16", "block": tuple(map(int, block.split("x")))}
        needs = (Need(READ, 0.5, f"detection at {block}, 4096^2 f16, within 2x of one read"),)
        cases.append(Case(f"detect-{block}", "detect", build, {"empty": 0.9}, (READ,), needs, {"m": 70, "k": 136}))
    return cases


def _hss() -> list[Case]:
    shape = {"m": 4096, "k": 4096, "n": 8192, "element": "f16"}
    small = {"m": 64, "k": 256, "n": 40}
    first = (Need(CUBLAS, 1.3, "HSS 2:4"), Need(CUSPARSELT, 1.0, "HSS 2:4 against cuSPARSELt"))
    cases = [Case("hss-2:4", "hss", {**shape, "format": "C0(2:4)"}, {}, (CUBLAS, CUSPARSELT, CUTLASS), first, small)]
    for text, outer, ratio in (("2:8", "1:2", 2.2), ("2:16", "1:4", 3.5)):
        build = {**shape, "format": f"V(64)C1({outer})->C0(2:4)"}
        cases.append(
            Case(f"hss-64:{text}", "hss", build, {}, (CUBLAS,), (Need(CUBLAS, ratio, f"HSS V:{text}"),), small)
        )
    # The same on sparse warpgroups.
    for case in tuple(cases):
        needs = tuple(dataclasses.replace(need, text=f"{need.text}, sparse wgmma") for need in case.needs)
        cases.append(dataclasses.replace(case, name=f"{case.name}-wgmma", needs=needs, target="sm_90a"))
    small = {"m": 64, "k": 1680, "n": 16}
    for outer in _OUTER:
        for inner in _INNER:
            build = {**shape, "k": 3360, "format": f"V(16)C1({outer})->C0({inner})"}
            cases.append(Case(f"degree-{outer}-{inner}", "hss", build, {}, (CUBLAS,), (), small, "HSS, 12 degrees"))
    return cases


def _unstructured() -> list[Case]:
    small = {"m": 72, "k": 136, "n": 8}
    cases = [
        Case(f"skinny-{empty * 100:.0f}-n{n}", "skinny", {"m": 4096, "k": 4096, "n": n, "element": "f16"},
             {"empty": empty}, (CUBLAS, CUSPARSE), small=small)
        for n in (8, 16, 32) for empty in (0.7, 0.9)
    ]  # fmt: skip
    for element in ("f32", "f16"):
        build = {"m": 8192, "k": 8192, "n": 128, "element": element}
        cases.append(Case(f"csr-spmm-{element}", "csr", build, {"empty": 0.99}, (CUSPARSE,), small=small))
    build = {"m": 8192, "k": 8192, "element": "f32"}
    cases.append(Case("csr-spmv-f32", "spmv", build, {"empty": 0.99}, (CUSPARSE,), small={"m": 72, "k": 136}))
    build = {"m": 4096, "n": 4096, "k": 128, "element": "f32"}
    cases.append(Case("sddmm-f32", "sddmm", build, {"empty": 0.99}, (CUSPARSE,), small=_TINY))
    return cases


def _moe() -> list[Case]:
    build = {"tokens": 4096, "experts": 64, "inner": 1024, "outer": 4096, "element": "bf16"}
    small = {"tokens": 40, "experts": 5, "inner": 72, "outer": 56}
    needs = (Need(GROUPED, 1.0, "MoE, 4096 tokens, 64 experts"),)
    return [
        Case(f"moe-skew{skew}", "moe", build, {"skew": skew}, (GROUPED, LOOP), needs if not skew else (), small)
        for skew in (0.0, 1.0)
    ]


def _attention() -> list[Case]:
    build = {"batch": 1, "heads": 16, "tokens": 8192, "depth": 64, "element": "f16"}
    small = {"batch": 1, "heads": 2, "tokens": 70, "depth": 16}
    kinds = {"causal": {}, "window": {"window": 512}}
    return [
        Case(f"attention-{kind}", "attention", build, {"kind": kind, **data}, (FLEX, SDPA), small=small)
        for kind, data in kinds.items()
    ]


def _overhead() -> list[Case]:
    """A product that takes no time, for what a call costs on the host."""
    build = {"m": 64, "n": 64, "k": 64, "element": "f32"}
    return [Case("call", "dense", build, peers=(CUBLAS,), call_us=8.0)]


#: All cases, those with requirements first: what time runs out on is what nobody asked for.
CASES: tuple[Case, ...] = tuple(
    sorted(
        [*_overhead(), *_dense(), *_pit(), *_axes(), *_detect(), *_hss(), *_moe(), *_unstructured(), *_attention()],
        key=lambda case: not case.asked,
    )
)
