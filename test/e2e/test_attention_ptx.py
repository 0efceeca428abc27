"""GPU kernels of ``pith.attention`` assemble for every chip family, with no spills but known ones."""

import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.functional.attention.ir import Variant
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import GpuTarget
from pith.tools import ptxas

pytestmark = needs_ptxas

#: (variant, bytes ptxas (CUDA 13.0) may spill). Known spills: 256 features take 128 registers for sums alone;
#: with global tokens every row has two more intervals, which edges of what is seen alone read.
VARIANTS = {
    "f16": (Variant("f16", 64, 64, lse=True), 0),
    "wide": (Variant("f16", 128, 128, lse=True), 0),
    "widest": (Variant("bf16", 256, 256), 96),
    "f32": (Variant("f32", 64, 64, lse=True), 0),
    "blocks": (Variant("bf16", 64, 64, blocks=(64, 64)), 0),
    "tokens": (Variant("f16", 64, 64, lse=True, tokens=True), 64),
}


@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", VARIANTS)
def test_ptxas_assembles(name, chip):
    variant, spills = VARIANTS[name]
    artifact = assemble(variant.device_source(), chip, spills)
    kind = {"f16": "f16.f16", "bf16": "bf16.bf16"}.get(variant.element)
    assert ("mma.sync" in artifact.ptx) == (kind is not None) and "cp.async" in artifact.ptx
    assert kind is None or f"mma.sync.aligned.m16n8k16.row.col.f32.{kind}.f32" in artifact.ptx


@pytest.mark.parametrize("of_keys", [False, True])
@pytest.mark.parametrize("element,chip,features", [("bf16", "sm_90", 128), ("f32", "sm_80", 64)])
def test_gradients_assemble(element, chip, features, of_keys):
    assemble(Variant(element, features, features).device_grad_source(of_keys), chip, 0)


def assemble(source, chip, spills):
    with dialect.make_context(), ir.Location.unknown():
        artifact = compile_ptx(ir.Module.parse(source), GpuTarget(chip))
    assembled = ptxas.assemble(artifact.ptx, chip)
    assert set(assembled.registers) == {launch.kernel for launch in artifact.program.launches}
    assert max(assembled.spill_bytes.values()) <= spills, assembled.spill_bytes
    return artifact
