"""Dynamic sizes that a program needs equal: calls that break that are refused, whatever the target."""

from __future__ import annotations

import array

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source

T = "tensor<?x?xf32>"
MATMUL = f"""func.func @m(%x: {T}, %w: {T}, %o: {T}) -> {T} {{
  %y = linalg.matmul ins(%x, %w : {T}, {T}) outs(%o : {T}) -> {T}
  return %y : {T}
}}"""
CASES = [
    ((5, 4), (3, 3), (5, 3), "'w', dimension 0: expects the size of 'x', dimension 1, 4, got 3"),
    ((5, 4), (7, 3), (5, 3), "'w', dimension 0: expects the size of 'x', dimension 1, 4, got 7"),
    ((5, 4), (4, 3), (4, 3), "'o', dimension 0: expects the size of 'x', dimension 0, 5, got 4"),
    ((5, 4), (4, 3), (6, 4), "'o', dimension 0: expects the size of 'x', dimension 0, 5, got 6"),
]


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("target", ["cpu", "emulate:sm_90"])
def test_sizes_of_a_call_agree(target):
    kernel = pith.compile(MATMUL, target=target)
    np.testing.assert_array_equal(kernel(ones(5, 4), ones(4, 3), ones(5, 3)), np.full((5, 3), 5))
    for *shapes, message in CASES:
        with pytest.raises(pith.ShapeError, match=message):
            kernel(*(ones(*shape) for shape in shapes))


def test_static_sizes_fix_dynamic_ones():
    kernel = pith.compile(
        MATMUL.replace(f"%w: {T}", "%w: tensor<4x3xf32>").replace(f"{T}, {T})", f"{T}, tensor<4x3xf32>)")
    )
    with pytest.raises(pith.ShapeError, match="'x', dimension 1: expects a size of 4, got 5"):
        kernel(ones(5, 5), ones(4, 3), ones(5, 3))


def test_bound_arguments_count():
    kernel = pith.compile(MATMUL).bind({1: ones(4, 3)})
    np.testing.assert_array_equal(kernel(ones(2, 4), ones(2, 3)), np.full((2, 3), 5))
    with pytest.raises(pith.ShapeError, match="dimension 1, 5, got 4"):
        kernel(ones(2, 5), ones(2, 3))


def test_sparse_arguments_count():
    levels = '[#pith.level<"dense">, #pith.level<"compressed">]'
    csr = f"#csr = #pith.format<affine_map<(i, j) -> (i, j)>, {levels}, 32, 32, 0>\n"
    encoded, tensor = csr + MATMUL, "tensor<?x?xf32, #csr>"
    for place in ("(%x: ", "ins(%x, %w : "):
        encoded = encoded.replace(place + T, place + tensor)
    kernel = pith.compile(encoded)
    packed = pith.compress(np.eye(5, 4, dtype=np.float32), pith.Format.csr())
    np.testing.assert_array_equal(kernel(packed, ones(4, 3), ones(5, 3))[:4], np.full((4, 3), 2))
    for call in (kernel, lambda a, *rest: kernel.bind({0: a})(*rest)):
        with pytest.raises(pith.ShapeError, match="'w', dimension 0: expects the size of 'x', dimension 1, 4, got 7"):
            call(packed, ones(7, 3), ones(5, 3))


def test_arrays_without_a_shape_count():
    kernel = pith.compile("""func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
      %z = arith.addf %x, %y : tensor<?xf32>
      return %z : tensor<?xf32>
    }""")
    assert kernel(array.array("f", [1, 2]), ones(2)).tolist() == [2, 3]
    with pytest.raises(pith.ShapeError, match="'y', dimension 0: expects the size of 'x', dimension 0, 3, got 2"):
        kernel(array.array("f", [1, 2, 3]), ones(2))


def test_saved_kernels_keep_the_rules(tmp_path):
    pith.compile(MATMUL).save(tmp_path / "k.pith")
    with pytest.raises(pith.ShapeError, match="got 7"):
        pith.load(tmp_path / "k.pith")(ones(5, 4), ones(7, 3), ones(5, 3))


def test_saved_gpu_kernels_keep_the_rules(tmp_path):
    kernel = pith.compile(MATMUL, target="sm_90")
    kernel.save(tmp_path / "k.pith")
    for k in (kernel, pith.load(tmp_path / "k.pith", target="sm_90")):
        with pytest.raises(pith.ShapeError, match="got 7"):
            k(ones(5, 4), ones(7, 3), ones(5, 3))


def test_kernels_of_the_library_check_for_themselves():
    assert not compile_source(MATMUL, "m").sizes
