"""Sparse or dense, decided on the device: detection, the choice and both products are one program.

The programs come with the decision of ``pith-select-tiles``: what pays is up to chips and sizes, and tested there.
"""

import functools
import re

import numpy as np
import pith
import pytest

#: ||out - ref|| / ||ref||, f32 sums.
TOLERANCE = 2e-6

SOURCE = """func.func @f(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %n = tensor.dim %b, %c1 : tensor<?x?xf32>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %r = linalg.matmul {{pith.dynamic = [{{operand = 0, granularity = array<i64: {granularity}>, threshold = 0.0}}],
      pith.tile_decision = {{break_even = 0.5, sparsity = 0.9, choice = "packed", candidates = [
        {{name = "packed", cost_ns = 1, covered = 0.9, axis = {axis}, micro_tile = array<i64: {granularity}>,
          tile = array<i64: 32, 64, 64>}}, {{name = "dense", cost_ns = 2, covered = 0.0}}]}}}}
    ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%i : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}}"""


@functools.cache
def compiled(granularity):
    axis = 0 if granularity == "1, 0" else 2
    return pith.compile(SOURCE.format(granularity=granularity, axis=axis), target="emulate:sm_90")


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("granularity", "extents"), [("1, 0", (1, 50)), ("0, 1", (70, 1)), ("32, 1", (32, 1))])
def test_one_branch_runs_and_the_result_is_the_product(granularity, extents, share):
    rng, shape = np.random.default_rng(4), (70, 50)
    cells = rng.random([-(-n // g) for n, g in zip(shape, extents)]) < share
    mask = np.kron(cells, np.ones(extents))[: shape[0], : shape[1]]
    a, b = (rng.standard_normal(shape) * mask).astype(np.float32), rng.standard_normal((50, 33)).astype(np.float32)
    kernel = compiled(granularity)
    for _ in range(2):
        out = kernel(a, b)
        expected = a.astype("f8") @ b.astype("f8")
        assert np.linalg.norm(out - expected) <= TOLERANCE * np.linalg.norm(expected)


def test_both_branches_write_to_one_buffer_and_nothing_is_copied():
    names = [launch.kernel.split("_")[1] for launch in compiled("1, 0").launches]
    assert names == ["reset", "detect", "choose", "fill", "pit", "matmul"]
    pit, dense = compiled("1, 0").launches[-2:]
    assert pit.operands[-2:] == dense.operands[-2:], "the result, then the word that says which branch is taken"


def test_the_chip_decides_and_not_this_machine(monkeypatch):
    """Without a decision: 64 x 64 is nothing for a GPU, whatever the CPU's tables say."""
    monkeypatch.setattr("pith.compiler.marked.table_for", lambda *_: pytest.fail("the CPU's tile database was asked"))
    source = re.sub(
        r",\s*pith.tile_decision = \{.*\}\]\}\}", "}", SOURCE.format(granularity="1, 0", axis=0), flags=re.S
    )
    source = source.replace("tensor<?x?xf32>", "tensor<64x64xf32>").replace("tensor.empty(%m, %n)", "tensor.empty()")
    assert [launch.kernel for launch in pith.compile(source, target="emulate:sm_90").launches] == ["f_matmul_0"]


CONDITIONAL = """func.func @f(%p: !pith.pattern<[-1], [1]>, %x: tensor<?xf32>, %y: tensor<?xf32>)
    -> (tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c = "pith.coordinates"(%p) : (!pith.pattern<[-1], [1]>) -> tensor<?xi32>
  %n = tensor.dim %c, %c0 : tensor<?xi32>
  %few = arith.cmpi ult, %n, %c4 : index
  %a, %b = scf.if %few -> (tensor<?xf32>, tensor<?xf32>) {
    %s = linalg.add ins(%x, %y : tensor<?xf32>, tensor<?xf32>) outs(%x : tensor<?xf32>) -> tensor<?xf32>
    scf.yield %s, %x : tensor<?xf32>, tensor<?xf32>
  } else {
    %s = linalg.mul ins(%x, %y : tensor<?xf32>, tensor<?xf32>) outs(%y : tensor<?xf32>) -> tensor<?xf32>
    scf.yield %y, %s : tensor<?xf32>, tensor<?xf32>
  }
  return %a, %b : tensor<?xf32>, tensor<?xf32>
}"""


def test_branches_may_yield_what_they_did_not_make():
    kernel, rng = pith.compile(CONDITIONAL, target="emulate:sm_90"), np.random.default_rng(6)
    x, y = rng.standard_normal((2, 37)).astype(np.float32)
    before = x.copy(), y.copy()
    for count, expected in ((2, (x + y, x)), (9, (y, x * y))):
        listed = np.array([count, *range(9)], np.int32)
        for got, wanted in zip(kernel(listed, x, y), expected):
            np.testing.assert_array_equal(got, wanted)
    assert (x == before[0]).all() and (y == before[1]).all()
