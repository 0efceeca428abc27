"""Products whose destination is an undefined tensor that other ops write to, too, as CSE makes them."""

import numpy as np
import pith
import pytest

#: ||out - ref|| / ||ref|| in f32 against float64.
TOLERANCE = 1e-5

HEADER = """
#csr = #pith.format<affine_map<(i, j) -> (i, j)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#ij = affine_map<(i, j) -> (i, j)>
func.func @f(%w: tensor<24x40xf32{encoding}>, %x: tensor<40x20xf32>, %v: tensor<24x20xf32>)
    -> (tensor<24x20xf32>, tensor<24x20xf32>) {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<24x20xf32>
"""

#: The result that is written last.
FOOTER = """
  %n = linalg.generic {{indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}}
      ins(%v : tensor<24x20xf32>) outs(%e : tensor<24x20xf32>) {{
  ^bb0(%a: f32, %o: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  }} -> tensor<24x20xf32>
  return %p, %n : tensor<24x20xf32>, tensor<24x20xf32>
}}
"""

MATMUL = """
      ins(%w, %x : tensor<24x40xf32{encoding}>, tensor<40x20xf32>) outs(%i : tensor<24x20xf32>) -> tensor<24x20xf32>
"""

RESHAPED = (
    """
  %wide = tensor.expand_shape %e [[0, 1], [2]] output_shape [24, 1, 20] : tensor<24x20xf32> into tensor<24x1x20xf32>
  %filled = linalg.fill ins(%zero : f32) outs(%wide : tensor<24x1x20xf32>) -> tensor<24x1x20xf32>
  %i = tensor.collapse_shape %filled [[0, 1], [2]] : tensor<24x1x20xf32> into tensor<24x20xf32>
  %p = linalg.matmul"""
    + MATMUL
)

UPDATED = (
    """
  %i = linalg.exp ins(%v : tensor<24x20xf32>) outs(%e : tensor<24x20xf32>) -> tensor<24x20xf32>
  %p = linalg.matmul"""
    + MATMUL
)


@pytest.mark.parametrize("path", ["auto", "loops", "sparsifier"])
@pytest.mark.parametrize("stored", ["dense", "csr"])
@pytest.mark.parametrize("made", ["reshaped", "updated"])
def test_a_shared_destination_is_not_overwritten(made, stored, path):
    rng = np.random.default_rng(7)
    w, x, v = (rng.standard_normal(s).astype(np.float32) for s in ((24, 40), (40, 20), (24, 20)))
    w *= rng.random(w.shape) < 0.5
    body, encoding = RESHAPED if made == "reshaped" else UPDATED, ", #csr" if stored == "csr" else ""
    k = pith.compile((HEADER + body + FOOTER).format(encoding=encoding), path=path)
    product, negated = k(pith.compress(w, "csr") if stored == "csr" else w, x, v)
    start = np.exp(v.astype(np.float64)) if made == "updated" else 0
    reference = w.astype(np.float64) @ x + start
    assert np.linalg.norm(product - reference) <= TOLERANCE * np.linalg.norm(reference)
    assert np.array_equal(negated, -v)
