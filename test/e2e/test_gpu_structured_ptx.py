"""Products with structured weights assemble for both chips: the instructions they are made of, registers, spills."""

import re

import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import GpuTarget
from pith.tools import ptxas
from structured_programs import source

SPARSE_HALF = "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"
SPARSE_BFLOAT = "mma.sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32"
SPARSE_BYTES = "mma.sp.sync.aligned.m16n8k64.row.col.satfinite.s32.s8.s8.s32"
DENSE_HALF = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"

PROGRAMS = {
    "two_of_four": (("C0(2:4)", (4096, 4096)), {}, SPARSE_HALF),
    "venom": (("V(64)C1(2:8)->C0(2:4)", (4096, 4096)), {"out": "f16", "transposed": True}, SPARSE_HALF),
    "packed_bf16": (("V(128)C1(2:16)->C0(1:4)", (4096, 4096)), {"element": "bf16"}, SPARSE_BFLOAT),
    "packed_i8": (("V(64)C1(2:8)->C0(2:4)", (4096, 4096)), {"element": "i8", "out": "i32"}, SPARSE_BYTES),
    "listed_groups": (("V(32)C1(*)->C0(2:4)", (4096, 4096)), {"transposed": True}, SPARSE_HALF),
    "blocks": (("B(32x32)C0(*)", (4096, 4096)), {}, DENSE_HALF),
    "dense_blocks": (("V(64)C1(4:7)->C0(4:4)", (4096, 3584)), {}, DENSE_HALF),
    "degenerate": (("C1(4:4)->C0(4:4)", (4096, 4096)), {}, DENSE_HALF),
    "scattered": (("V(64)C1(2:8)->C0(4:8)", (4096, 4096)), {}, DENSE_HALF),
    "bitmask": (("C0(bitmask)", (4096, 4096)), {"transposed": True}, DENSE_HALF),
    "lists": (("C0(*)", (4096, 4096)), {"expand": True}, DENSE_HALF),
}


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles(name, chip):
    arguments, options, instruction = PROGRAMS[name]
    with dialect.make_context(), ir.Location.unknown():
        artifact = compile_ptx(ir.Module.parse(source(*arguments, **options)), GpuTarget(chip))
    assert f".target {chip}" in artifact.ptx and instruction in artifact.ptx
    assert ("mma.sp" in artifact.ptx) == ("mma.sp" in instruction)
    assembled = ptxas.assemble(artifact.ptx, chip)
    assert assembled.cubin[:4] == b"\x7fELF"
    assert max(assembled.registers.values()) <= 255
    # ptxas (CUDA 13.0) spills a word or two of 128 x 256 tiles where B may not be aligned: both ways are there.
    assert max(assembled.spill_bytes.values()) <= 16


def test_the_degenerate_format_clears_and_scatters_nothing():
    """A format that keeps all elements becomes the kernel of a dense product: asynchronous copies of 16 bytes."""
    encoded = source("C1(4:4)->C0(4:4)", (4096, 4096)).replace("4096x?x", "4096x512x").replace("empty(%n)", "empty()")
    dense = re.sub(r"(tensor<4096x4096xf16), #pith.*?0 : i64, 0 : i64, 0 : i64>>", r"\1>", encoded)
    with dialect.make_context(), ir.Location.unknown():
        texts = [compile_ptx(ir.Module.parse(t), GpuTarget("sm_90")).levels["gpu"] for t in (encoded, dense)]
    for op in ("nvgpu.device_async_copy", "nvgpu.mma.sync", "nvgpu.ldmatrix", "gpu.barrier", "vector.store"):
        assert texts[0].count(op) == texts[1].count(op)
    assert texts[0].count(", 8, %") + texts[0].count(", 8 {") == texts[1].count(", 8, %") + texts[1].count(", 8 {")
