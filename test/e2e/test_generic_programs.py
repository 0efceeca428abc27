"""Generic ops as users write them: maps that are no projected permutations, several ops on one loop nest."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from cpu_programs import PATHS, check
from pith.formats.attribute import format_attribute
from pith.named_formats import as_format

RNG = np.random.default_rng(2026)

#: How the dense operand of a product is read -> its shape, and what NumPy reads.
ODD = {
    "(i, i + j)": ((3, 7), lambda x, i, j: x[i, i + j]),
    "(i + j)": ((7,), lambda x, i, j: x[i + j]),
    "(j mod 3)": ((3,), lambda x, i, j: x[j % 3]),
    "(j floordiv 2, i)": ((3, 3), lambda x, i, j: x[j // 2, i]),
    "(j, j)": ((5, 5), lambda x, i, j: x[j, j]),
    "(j * 2)": ((9,), lambda x, i, j: x[j * 2]),
    "(j, 0)": ((5, 2), lambda x, i, j: x[j, 0 * i]),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fmt", ["csr", "coo", "C0(5:5)"])
@pytest.mark.parametrize("read", ODD)
def test_odd_maps_beside_encoded_operands(read, fmt, path):
    shape, picked = ODD[read]
    first, second = "tensor<3x5xf32, #f>", f"tensor<{'x'.join(map(str, shape))}xf32>"
    k = pith.compile(
        f"""
        #f = {format_attribute(as_format(fmt)[0])}
        #id = affine_map<(i, j) -> (i, j)>
        func.func @f(%a: {first}, %b: {second}, %y: tensor<3xf32>) -> tensor<3xf32> {{
          %0 = linalg.generic {{indexing_maps = [#id, affine_map<(i, j) -> {read}>, affine_map<(i, j) -> (i)>],
              iterator_types = ["parallel", "reduction"]}} ins(%a, %b : {first}, {second}) outs(%y : tensor<3xf32>) {{
          ^bb0(%v: f32, %w: f32, %s: f32):
            %p = arith.mulf %v, %w : f32
            %t = arith.addf %s, %p : f32
            linalg.yield %t : f32
          }} -> tensor<3xf32>
          return %0 : tensor<3xf32>
        }}""",
        path=path,
    )
    a = (RNG.random((3, 5)) * (RNG.random((3, 5)) < 0.6)).astype(np.float32)
    x, y = RNG.random(shape).astype(np.float32), RNG.random(3).astype(np.float32)
    i, j = np.indices((3, 5))
    expected = y.astype(float) + (a.astype(float) * picked(x.astype(float), i, j)).sum(1)
    check(k(pith.compress(a, fmt), x, y), expected, "f32")
    if path == "auto" and fmt == "csr":
        assert ("cannot iterate over it" in k.explain()) == (read not in ("(i + j)", "(j * 2)", "(j, 0)"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fmt", [None, "csr", "C0(2:4)"])
def test_a_sum_of_what_another_op_accumulates(fmt, path):
    """Upstream's fusion makes one op of both: of its results one has the loop that the other sums over."""
    encoding = f", {format_attribute(as_format(fmt)[0])}" if fmt else ""
    k = pith.compile(
        f"""
        #id = affine_map<(i, j) -> (i, j)>
        #i = affine_map<(i, j) -> (i)>
        func.func @f(%a: tensor<8x12xf32{encoding}>, %x: tensor<8xf32>, %y: tensor<12xf32>, %z: tensor<8x12xf32>)
            -> (tensor<8x12xf32>, tensor<8xf32>) {{
          %zero = arith.constant 0.0 : f32
          %e = tensor.empty() : tensor<8xf32>
          %init = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
          %outer = linalg.generic {{indexing_maps = [#i, affine_map<(i, j) -> (j)>, #id],
              iterator_types = ["parallel", "parallel"]}}
              ins(%x, %y : tensor<8xf32>, tensor<12xf32>) outs(%z : tensor<8x12xf32>) {{
          ^bb0(%v: f32, %w: f32, %s: f32):
            %p = arith.mulf %v, %w : f32
            %t = arith.addf %s, %p : f32
            linalg.yield %t : f32
          }} -> tensor<8x12xf32>
          %sum = linalg.generic {{indexing_maps = [#id, #id, #i], iterator_types = ["parallel", "reduction"]}}
              ins(%a, %outer : tensor<8x12xf32{encoding}>, tensor<8x12xf32>) outs(%init : tensor<8xf32>) {{
          ^bb0(%v: f32, %w: f32, %s: f32):
            %p = arith.mulf %v, %w : f32
            %t = arith.addf %s, %p : f32
            linalg.yield %t : f32
          }} -> tensor<8xf32>
          return %outer, %sum : tensor<8x12xf32>, tensor<8xf32>
        }}""",
        path=path,
    )
    x, y, z, a = (RNG.standard_normal(s).astype(np.float32) for s in (8, 12, (8, 12), (8, 12)))
    a = pith.prune(a, fmt) if fmt else a
    outer, total = k(pith.compress(a, fmt) if fmt else a, x, y, z)
    expected = z + np.outer(x.astype(float), y)
    check(outer, expected, "f32")
    check(total, (a * expected).sum(1), "f32")
