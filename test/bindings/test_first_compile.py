"""What compiling imports, which is most of the time to the first kernel: dialects in parts, and no idle lowerings."""

import json
import subprocess
import sys

from pith._mlir import ir, linalg, llvm
from torch_mlir.dialects import linalg as whole

#: 60 ms and 24 ms of imports, and 20 ms of contexts that the first makes (Emerald Rapids, 2026-11-23).
SLOW = ("torch_mlir.dialects.linalg", "yaml")

#: What passes import where a module has ops for them: 80 ms.
IDLE = ("attention.emit", "patterns.ops", "patterns.tiles", "storage.ops")

PROBE = """
import json, sys
import numpy as np
import pith

A = pith.compress(np.eye(16, dtype=np.float32), "C0(1:4)")
assert np.array_equal(pith.matmul(A, np.eye(16, dtype=np.float32)), np.eye(16))
print(json.dumps(sorted(sys.modules)))
"""


def test_a_kernel_compiles_without_the_slow_modules(tmp_path, monkeypatch):
    monkeypatch.setenv("PITH_CACHE_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert "pith.lowering.convert_pith_to_loops" in modules, "nothing was compiled"
    assert not [name for name in (*SLOW, *(f"pith.lowering.{name}" for name in IDLE)) if name in modules]


def test_parts_of_a_dialect_are_those_of_the_whole():
    assert linalg.GenericOp is whole.GenericOp
    assert linalg.fill is whole.fill, "names that the parts lack come from the whole module"
    assert not hasattr(linalg, "__path__")


def test_ops_have_their_classes(context):
    module = ir.Module.parse("func.func @f(%x: tensor<4xf32>, %v: f32) -> tensor<4xf32> {\n"
                             "  %0 = linalg.fill ins(%v : f32) outs(%x : tensor<4xf32>) -> tensor<4xf32>\n"
                             "  return %0 : tensor<4xf32>\n}")  # fmt: skip
    fill = module.body.operations[0].regions[0].blocks[0].operations[0]
    assert isinstance(fill, linalg.FillOp)
    assert isinstance(ir.Type.parse("!llvm.ptr"), llvm.PointerType)
