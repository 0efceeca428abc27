"""Ordinary linalg marked with `pith.dynamic`, compiled with its dense rival, against float64."""

import functools
import pathlib
import re

import numpy as np
import pith
import pytest
from pith.compiler.explain import explain_source

MATMUL = "ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>"


@functools.cache
def matmul(marks, decision=""):
    extra = f", {decision}" if decision else ""
    return pith.compile(
        f"""func.func @matmul(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {{
          %0 = linalg.matmul {{pith.dynamic = [{marks}]{extra}}} {MATMUL}
          return %0 : tensor<?x?xf32>
        }}"""
    )


def mark(operand, granularity, threshold=0.0):
    return f"{{operand = {operand}, granularity = array<i64: {granularity}>, threshold = {threshold} : f64}}"


def sparse(rng, shape, tile, sparsity):
    tile = [t or n for t, n in zip(tile, shape)]
    keep = rng.random([-(-n // t) for n, t in zip(shape, tile)]) >= sparsity
    for axis, extent in enumerate(tile):
        keep = keep.repeat(extent, axis)
    return (rng.standard_normal(shape) * keep[tuple(map(slice, shape))]).astype(np.float32)


def close(out, reference):
    return np.linalg.norm(out - reference) <= 1e-5 * (np.linalg.norm(reference) or 1.0)


@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("tile", [(32, 1), (1, 8), (1, 0), (0, 1)])
def test_matmul(operand, tile):
    """Both sides of the break-even, and shapes that divide nothing."""
    kernel = matmul(mark(operand, f"{tile[0]}, {tile[1]}"))
    rng = np.random.default_rng(0)
    for sparsity in (0.0, 0.95, 1.0):
        a, b = (sparse(rng, s, tile if n == operand else (1, 1), sparsity if n == operand else 0.0)
                for n, s in enumerate([(70, 101), (101, 45)]))  # fmt: skip
        c = rng.standard_normal((70, 45)).astype(np.float32)
        reference = c + a.astype(np.float64) @ b.astype(np.float64)
        assert close(kernel(a, b, c), reference)


def test_both_branches():
    """Up to three tenths of the micro-tiles they are packed, above that the op runs as it was."""
    tile = "axis = 2 : i64, micro_tile = array<i64: 32, 1>, tile = array<i64: 32, 64, 32>"
    packed = f'{{name = "d2:32x1", {tile}, covered = 0.9 : f64, cost_ns = 1 : i64}}'
    dense = '{name = "dense", covered = 0.0 : f64, cost_ns = 2 : i64}'
    decision = f'{{choice = "d2:32x1", break_even = 0.3 : f64, candidates = [{packed}, {dense}]}}'
    kernel = matmul(mark(0, "32, 1"), f"pith.tile_decision = {decision}")
    assert "scf.if" in kernel.ir("linalg")
    rng = np.random.default_rng(5)
    for sparsity in (0.9, 0.1):
        a, b = sparse(rng, (70, 101), (32, 1), sparsity), rng.standard_normal((101, 45)).astype(np.float32)
        assert close(kernel(a, b, np.zeros((70, 45), np.float32)), a.astype(np.float64) @ b.astype(np.float64))


def test_two_patterns():
    """Dropped tokens and dead features in one op."""
    kernel = matmul(f"{mark(0, '1, 0')}, {mark(1, '0, 1')}")
    rng = np.random.default_rng(1)
    for sparsity in (0.0, 0.9):
        a, b = sparse(rng, (65, 50), (1, 0), sparsity), sparse(rng, (50, 77), (0, 1), sparsity)
        c = rng.standard_normal((65, 77)).astype(np.float32)
        assert close(kernel(a, b, c), c + a.astype(np.float64) @ b.astype(np.float64))


@pytest.mark.parametrize("tile", [(1, 0), (8, 1), (1, 1)])
def test_what_a_threshold_drops_is_zero_in_tiles_and_dense(tile):
    """Small values beside large ones in a listed micro-tile, and in the dense rival, count as zero; NaN does not."""
    kernel = matmul(mark(0, f"{tile[0]}, {tile[1]}", 1.0))
    rng = np.random.default_rng(2)
    for sparsity in (0.0, 0.95):
        a, b = sparse(rng, (70, 101), tile, sparsity), rng.standard_normal((101, 45)).astype(np.float32)
        a[3, 5], a[4, 6] = 1.0, np.nextafter(np.float32(1), np.float32(2))
        kept = np.where(np.abs(a) > 1.0, a, 0).astype(np.float64)
        assert close(kernel(a, b, np.zeros((70, 45), np.float32)), kept @ b.astype(np.float64))
        a[9, 9] = np.nan
        assert np.isnan(kernel(a, b, np.zeros((70, 45), np.float32))).all(axis=1).nonzero()[0].tolist() == [9]


def test_channels_of_a_convolution():
    kernel = pith.compile(
        f"""func.func @conv(%x: tensor<2x9x9x40xf32>, %w: tensor<3x3x40x24xf32>, %o: tensor<2x7x7x24xf32>)
            -> tensor<2x7x7x24xf32> {{
          %0 = linalg.conv_2d_nhwc_hwcf {{pith.dynamic = [{mark(0, "0, 0, 0, 1")}]}}
              ins(%x, %w : tensor<2x9x9x40xf32>, tensor<3x3x40x24xf32>) outs(%o : tensor<2x7x7x24xf32>)
              -> tensor<2x7x7x24xf32>
          return %0 : tensor<2x7x7x24xf32>
        }}"""
    )
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 9, 9, 40)).astype(np.float32)
    x[..., rng.random(40) < 0.8] = 0
    w = rng.standard_normal((3, 3, 40, 24)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), (1, 2))
    reference = np.einsum("nhwcij,ijcf->nhwf", windows, w.astype(np.float64))
    assert close(kernel(x, w, np.zeros((2, 7, 7, 24), np.float32)), reference)


def test_sums_and_batches():
    sums = pith.compile(
        f"""func.func @sums(%a: tensor<?x?xf32>, %c: tensor<?xf32>) -> tensor<?xf32> {{
          %0 = linalg.reduce {{arith.addf}} ins(%a : tensor<?x?xf32>) outs(%c : tensor<?xf32>) dimensions = [1]
              {{pith.dynamic = [{mark(0, "0, 1")}]}}
          return %0 : tensor<?xf32>
        }}"""
    )
    rng = np.random.default_rng(4)
    a = sparse(rng, (33, 90), (0, 1), 0.9)
    assert close(sums(a, np.ones(33, np.float32)), 1 + a.astype(np.float64).sum(axis=1))
    batched = pith.compile(
        f"""func.func @batched(%a: tensor<4x?x?xf32>, %b: tensor<4x?x?xf32>, %c: tensor<4x?x?xf32>)
            -> tensor<4x?x?xf32> {{
          %0 = linalg.batch_matmul {{pith.dynamic = [{mark(0, "1, 1, 0")}]}}
              ins(%a, %b : tensor<4x?x?xf32>, tensor<4x?x?xf32>) outs(%c : tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
          return %0 : tensor<4x?x?xf32>
        }}"""
    )
    a, b = sparse(rng, (4, 37, 20), (1, 1, 0), 0.8), rng.standard_normal((4, 20, 30)).astype(np.float32)
    reference = a.astype(np.float64) @ b.astype(np.float64)
    assert close(batched(a, b, np.zeros((4, 37, 30), np.float32)), reference)


def test_explain():
    """`pith explain`: what may be permuted, what was chosen, and up to what count it is run."""
    text = explain_source(
        pathlib.Path(__file__).parents[2].joinpath("examples/dynamic_product.mlir").read_text(), "auto"
    )
    assert "may be permuted: d0 (parallel), d1 (parallel), d2 (reduction)" in text
    assert re.search(r"\* d2:(32|16|8)x1 +[0-9.]+%", text.replace("*  ", "* "))
    assert "assumed, until a call counts: 90% of the micro-tiles are empty" in text
    assert re.search(r"counts d2:(32|16|8)x1; packs up to [0-9.]+% of the micro-tiles, else dense", text)
    conv = """func.func @conv(%x: tensor<1x8x8x16xf32>, %w: tensor<3x3x16x4xf32>, %o: tensor<1x6x6x4xf32>)
        -> tensor<1x6x6x4xf32> {
      %0 = linalg.conv_2d_nhwc_hwcf {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 0, 0, 1>}]}
          ins(%x, %w : tensor<1x8x8x16xf32>, tensor<3x3x16x4xf32>) outs(%o : tensor<1x6x6x4xf32>)
          -> tensor<1x6x6x4xf32>
      return %0 : tensor<1x6x6x4xf32>
    }"""
    assert "d1 may not be permuted: (1) operand #0 uses d1 in the expression d1 + d4" in explain_source(conv, "auto")


def test_explain_names_no_rival_that_does_not_run():
    """A break-even share of 1 leaves no dense rival."""
    tile = "axis = 2 : i64, micro_tile = array<i64: 32, 1>, tile = array<i64: 32, 64, 32>"
    packed = f'{{name = "d2:32x1", {tile}, covered = 0.9 : f64, cost_ns = 1 : i64}}'
    source = f"""func.func @matmul(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {{
      %0 = linalg.matmul {{pith.dynamic = [{mark(0, "32, 1", 0.5)}],
                          pith.tile_decision = {{break_even = 1.0 : f64, candidates = [{packed}]}}}} {MATMUL}
      return %0 : tensor<?x?xf32>
    }}"""
    assert "scf.if" not in pith.compile(source).ir("linalg")
    text = explain_source(source, "auto")
    assert "always packs d2:32x1" in text
    assert "else dense" not in text


def test_what_cannot_be_followed_is_said_once(capfd):
    """By the error that is raised, not on the terminal as well."""
    with pytest.raises(pith.PassError, match="granularity"):
        matmul(mark(0, "4"))
    assert capfd.readouterr().err == ""
