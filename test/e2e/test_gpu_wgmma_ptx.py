"""Hopper's warpgroups through ptxas: instructions, registers, spills, and products that it would not overlap."""

import re

import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import CHIPS, GpuTarget
from pith.tools import ptxas
from test_gpu_products import ACTIVATIONS, CONSUMERS, matmul
from test_gpu_products_ptx import LARGE, planned
from test_gpu_wgmma_patterns import PATTERNS, pit

CHIP = "sm_90a"
TILE = {"b": 1, "m": 64, "n": 64, "k": 64}

#: name -> (program, what its loop holds)
PROGRAMS = {
    "f16": (planned("mk", "kn", "mn", "f16", "f16", LARGE), "m64n256k16.f32.f16.f16"),
    "f16 weights": (planned("mk", "nk", "mn", "f16", "f16", LARGE), "m64n256k16.f32.f16.f16"),
    "bf16 batches": (planned("bmk", "bnk", "bmn", "bf16", "bf16", LARGE), "m64n256k16.f32.bf16.bf16"),
    "i8": (planned("mk", "nk", "mn", "i8", "i32", LARGE), "m64n256k32.s32.s8.s8"),
    "tf32": (planned("mk", "nk", "mn", "f32", "f32", LARGE), "m64n256k8.f32.tf32.tf32"),
    "any sizes": (planned("mk", "kn", "mn", "f16", "f32"), r"\.f32\.f16\.f16"),
    "two below each other": (
        matmul("km", "kn", "mn", "f16", "f16", LARGE, tile="array<i64: 256, 128, 64, 8, 1, 4>"),
        "m64n128k16.f32.f16.f16",
    ),
    "consumers": (
        CONSUMERS.replace("ACTIVATION", ACTIVATIONS["gelu"][0]).replace(
            "array<i64: 32, 32, 32, 2, 2, 2>", "array<i64: 128, 128, 64, 8, 1, 3>"
        ),
        "m64n128k16.f32.f16.f16",
    ),
    **{
        name: (pit(roles, patterns, TILE, micro, "f16", "f32", accumulate), "m64n64k16.f32.f16.f16")
        for name, (roles, patterns, micro, accumulate) in PATTERNS.items()
    },
}


@pytest.fixture(autouse=True)
def context():
    with dialect.make_context(), ir.Location.unknown():
        yield


def compiled(name):
    return compile_ptx(ir.Module.parse(PROGRAMS[name][0]), GpuTarget(CHIP, tf32=name == "tf32"))


@needs_ptxas
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles(name):
    artifact = compiled(name)
    assert re.search(r"wgmma\.mma_async\.sync\.aligned\.\w*" + PROGRAMS[name][1], artifact.ptx)
    assembled = ptxas.assemble(artifact.ptx, CHIP)
    assert not any(assembled.spill_bytes.values())
    # Sums that something touches between two instructions make ptxas wait for each of them, and say so.
    assert "serialized" not in assembled.log
    for launch in artifact.program.launches:
        held = -(-assembled.registers[launch.kernel] // 8) * 8 * launch.block[0]
        assert held <= CHIPS[CHIP].registers and launch.shared_bytes <= CHIPS[CHIP].max_shared_bytes


def test_steps_overlap():
    """One wait per step leaves the instructions of that step under way; shared memory starts at its swizzle."""
    ptx = compiled("f16").ptx
    assert re.search(r"wgmma\.wait_group\.sync\.aligned\s+1;", ptx) and ptx.count("wgmma.commit_group") == 1
    assert re.search(r"\.extern \.shared \.align 1024 \.b8 __dynamic_shmem__0\[\]", ptx)


def test_other_chips_keep_mma_sync():
    ptx = compile_ptx(ir.Module.parse(PROGRAMS["f16"][0]), GpuTarget("sm_90")).ptx
    assert "wgmma" not in ptx and "mma.sync" in ptx
