"""Element types that no instruction multiplies: results are right, and the user is told once."""

from __future__ import annotations

import warnings

import numpy as np
import pith
import pytest
from pith.compiler import widening
from pith.lowering.isa import ISAS, host_isa
from relative_error import error_of

PRODUCT = """
func.func @f(%x: tensor<8x16xELEMENT>, %y: tensor<16x4xELEMENT>, %o: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %0 = linalg.matmul ins(%x, %y : tensor<8x16xELEMENT>, tensor<16x4xELEMENT>) outs(%o : tensor<8x4xf32>)
    -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}
"""


@pytest.fixture
def nothing_said(monkeypatch):
    monkeypatch.setattr(widening, "_said", set())


def _caught(run) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [w for w in caught if issubclass(w.category, pith.PerformanceWarning)]


def test_f16_is_said_once_and_where_the_user_called(nothing_said):
    rng = np.random.default_rng(0)
    w = pith.prune(rng.standard_normal((24, 56)).astype(np.float16), "C0(3:7)")
    x = rng.standard_normal((56, 9)).astype(np.float16)
    results = []

    def run() -> None:
        for fmt in ("C0(3:7)", "C0(4:7)", "csr", "C0(5:7)"):
            results.append(pith.matmul(pith.compress(w, fmt), x, variant="sparse"))

    (said,) = _caught(run)
    assert "f16 is multiplied in f32" in str(said.message) and said.filename == __file__
    for y in results:
        assert y.dtype == np.float16 and error_of(y, w.astype(float) @ x.astype(float)) < 1e-3


def test_what_has_instructions_and_what_multiplies_nothing_is_silent(nothing_said):
    w = np.ones((8, 16), np.float32)
    assert not _caught(lambda: pith.matmul(pith.compress(w, "C0(16:16)"), w.T, variant="sparse"))
    assert not _caught(lambda: pith.repack(pith.compress(w.astype(np.float16), "csr"), w.astype(np.float16)))


@pytest.mark.parametrize("element", ["f16", "bf16"])
@pytest.mark.parametrize("isa", ["avx2", "avx512", "emulate:amx"])
def test_programs_for_other_instruction_sets(nothing_said, element, isa):
    if isa in ISAS and not ISAS[isa].runs_on(host_isa().features):
        pytest.skip(f"needs {isa}")
    said = _caught(
        lambda: pith.compile(PRODUCT.replace("ELEMENT", element), target=f"cpu:{isa}".replace("cpu:em", "em"))
    )
    assert len(said) == (element == "f16" or isa != "emulate:amx")


def test_explain_says_it():
    w = np.eye(32, dtype=np.float16)
    text = pith.explain(pith.compress(w, "C0(1:4)"), w)
    assert f"f16 is multiplied in f32: {host_isa().name} has no instruction for it" in text
    assert "multiplied in f32" not in pith.explain(pith.compress(w.astype(np.float32), "C0(1:4)"), w)
    layer = """#fmt = #pith.format<affine_map<(i, j) -> (i, j floordiv 4, j mod 4)>,
      [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
    func.func @layer(%w: tensor<64x32xf16, #fmt>, %x: tensor<32x8xf16>, %y: tensor<64x8xf32>) -> tensor<64x8xf32> {
      %0 = linalg.matmul ins(%w, %x : tensor<64x32xf16, #fmt>, tensor<32x8xf16>) outs(%y : tensor<64x8xf32>)
        -> tensor<64x8xf32>
      return %0 : tensor<64x8xf32>
    }"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pith.PerformanceWarning)
        assert "f16 is multiplied in f32" in pith.compile(layer).explain()
