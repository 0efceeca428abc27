"""Kernels for sm_90a whose operands come in boxes, through ptxas: instructions, registers, spills, shared memory."""

import pith
import pytest
from needs import needs_ptxas
from pith.lowering.targets import CHIPS
from pith.programs import TensorMap
from pith.tools import ptxas
from pith.workloads.moe_ir import grouped_source
from test_gpu_boxes import VIEW
from test_gpu_pit import pit
from test_gpu_products import matmul

#: Bytes by which the barriers of boxes move dynamic shared memory.
ROOM = 1024

PTXAS = {
    "mma.sync": matmul("mk", "kn", "mn", "f16", "f16", {"m": 4096, "n": 4096, "k": 4096},
                       "array<i64: 128, 128, 32, 2, 4, 4>"),
    "wgmma": matmul("mk", "nk", "mn", "bf16", "f32", {"m": 4096, "n": 4096, "k": 4096},
                    "array<i64: 128, 256, 64, 8, 1, 4>"),
    "any sizes": matmul("bmk", "bkn", "bmn", "f16", "f32", None, "array<i64: 64, 128, 64, 4, 1, 4>"),
    "rows": pit(("mk", "kn", "mn"), [("m", (1,))], {"m": 64, "n": 128, "k": 64}, (1,), "f16", "f32"),
    "experts": grouped_source("f16", "f16", False, None, False),
    "view": VIEW,
}  # fmt: skip


@needs_ptxas
@pytest.mark.parametrize("name", PTXAS)
def test_ptxas_assembles(name):
    kernel = pith.compile(PTXAS[name], target="sm_90a")
    text = kernel.ir("ptx")
    for wanted in ("cp.async.bulk.tensor", "mbarrier.try_wait.parity", ".param .align 64 .b8", ".shared .align 1024"):
        assert wanted in text
    assembled = ptxas.assemble(text, "sm_90a")
    assert not any(assembled.spill_bytes.values())
    for launch in kernel.launches:
        assert launch.shared_bytes + ROOM * bool(_maps(launch)) <= CHIPS["sm_90a"].max_shared_bytes


def _maps(launch):
    return [o for o in launch.operands if isinstance(o, TensorMap)]
