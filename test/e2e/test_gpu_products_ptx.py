"""Products through ptxas: instructions of the main loop, registers, spills, and blocks that fit on a multiprocessor."""

import re

import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import CHIPS, GpuTarget
from pith.tools import ptxas
from test_gpu_pit import CASES, pit
from test_gpu_products import ACTIVATIONS, CONSUMERS, matmul

LARGE = {"b": 2, "m": 4096, "n": 4096, "k": 4096}
SKINNY = {"m": 16, "n": 1024, "k": 8192}


def planned(*arguments):
    """A product whose tile the planner chooses."""
    return matmul(*arguments).replace(", pith.gpu_tile = array<i64: 32, 32, 32, 2, 2, 2>", "")


def pattern(name, element="f16"):
    roles, patterns, tile, micro, accumulate = CASES[name]
    return pit(roles, patterns, tile, micro, element, "f32", accumulate)


#: name -> (program, what its loop holds)
PROGRAMS = {
    "f16": (planned("mk", "kn", "mn", "f16", "f16", LARGE), "m16n8k16.row.col.f32.f16.f16.f32"),
    "f16 weights": (planned("mk", "nk", "mn", "f16", "f16", LARGE), "m16n8k16.row.col.f32.f16.f16.f32"),
    "bf16 batches": (planned("bmk", "bnk", "bmn", "bf16", "bf16", LARGE), "m16n8k16.row.col.f32.bf16.bf16.f32"),
    "i8": (planned("mk", "nk", "mn", "i8", "i32", LARGE), "m16n8k32.row.col.satfinite.s32.s8.s8.s32"),
    "tf32": (planned("mk", "kn", "mn", "f32", "f32", LARGE), "m16n8k8.row.col.f32.tf32.tf32.f32"),
    "f32": (planned("mk", "kn", "mn", "f32", "f32", LARGE), "fma.rn.f32"),
    "any sizes": (planned("mk", "kn", "mn", "f16", "f32"), "m16n8k16.row.col.f32.f16.f16.f32"),
    "skinny": (planned("mk", "nk", "mn", "f16", "f32", SKINNY), "m16n8k16.row.col.f32.f16.f16.f32"),
    "consumers": (CONSUMERS.replace("ACTIVATION", ACTIVATIONS["gelu"][0]), "m16n8k16.row.col.f32.f16.f16.f32"),
    **{name: (pattern(name), "m16n8k16.row.col.f32.f16.f16.f32") for name in CASES},
}


@pytest.fixture(autouse=True)
def context():
    with dialect.make_context(), ir.Location.unknown():
        yield


def compiled(name, chip):
    source, _ = PROGRAMS[name]
    return compile_ptx(ir.Module.parse(source), GpuTarget(chip, tf32=name == "tf32"))


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles(name, chip):
    artifact = compiled(name, chip)
    assert PROGRAMS[name][1] in artifact.ptx
    assembled = ptxas.assemble(artifact.ptx, chip)
    # ptxas (CUDA 13.0) spills 4 bytes of one kernel for sm_80 to stay at 168 registers, and up to 16 of the f32 kernel
    # to stay at 128, so that two blocks fit; sums never go there.
    assert max(assembled.spill_bytes.values()) <= (16 if name == "f32" else 4)
    for launch in artifact.program.launches:
        # Registers are handed out to warps by 8 per thread.
        held = -(-assembled.registers[launch.kernel] // 8) * 8 * launch.block[0]
        assert held <= CHIPS[chip].registers and launch.shared_bytes <= CHIPS[chip].max_shared_bytes


def main_loop(ptx, instruction):
    """Instructions of the innermost loop that copies and holds ``instruction``: label to branch."""
    found = []
    lines = [line.strip() for line in ptx.splitlines()]
    labels = {m[1]: i for i, line in enumerate(lines) if (m := re.match(r"(\$L__BB\w+):", line))}
    for i, line in enumerate(lines):
        target = re.search(r"bra(?:\.uni)?\s+(\$L__BB\w+)", line)
        if target and labels.get(target[1], i) < i:
            body = [x for x in lines[labels[target[1]] : i + 1] if x and x[0] not in "/$.{}"]
            if all(any(text in x for x in body) for text in (instruction, "cp.async.cg")):
                found.append(body)
    return min(found, key=len)


def count(body, text):
    return sum(text in line for line in body)


@pytest.mark.parametrize(
    ("name", "arithmetic", "reads", "copies"),
    [
        ("f16", 64, 16, 6),
        ("f16 weights", 64, 16, 6),
        ("bf16 batches", 64, 16, 6),
        ("i8", 64, 16, 6),
        ("tf32", 64, 16, 6),
    ],
)
def test_the_main_loop_multiplies(name, arithmetic, reads, copies):
    """Four products per ldmatrix, one barrier per step, and few instructions beside."""
    body = main_loop(compiled(name, "sm_90").ptx, "mma.sync")
    assert count(body, "mma.sync") == arithmetic and count(body, "cp.async.cg") == copies
    if name != "tf32":
        assert count(body, "ldmatrix") == reads
    assert count(body, "bar.sync") == 1 and count(body, "cp.async.wait_group") == 1
    assert len(body) < 2.2 * arithmetic or name == "tf32"


def test_zeros_are_neither_stored_nor_read():
    """A product that starts from a fill of zeros is one launch; nothing reads the result."""
    artifact = compiled("consumers", "sm_90")
    assert [launch.kernel for launch in artifact.program.launches] == ["f_matmul_0"]
    assert artifact.levels["gpu"].count("gpu.launch_func") == 1


def test_small_outputs_share_depth():
    """16 x 1024 has too few tiles for 132 multiprocessors; parts of k = 8192 make up for that."""
    product, total = compiled("skinny", "sm_90").program.launches
    assert 132 // 2 <= product.grid[0].evaluate([()] * 4) <= 132
    assert "sum" in total.kernel
