"""Quantised weights: error bounds of rounding, products against float64 of the dequantised weights, requantising."""

import dataclasses

import ml_dtypes
import numpy as np
import pith
import pytest
import torch
from pith.compiler.kernel import compile_source
from pith.formats.attribute import format_attribute
from test_panel_products import density, random_hss

FORMATS = (
    "dense",
    "csr",
    "csc",
    "C0(2:4)",
    "C0(1:3)",
    "C1(3:4)->C0(2:4)",
    "V(4)C0(2:4)",
    "B(4x1)C0(2:4)",
    "B(1x16)C0(1:2)",
    "B(4x8)C0(*)",
    "C1(bitmask)->C0(1:2)",
)
SCHEMES = ({}, {"group": 16}, {"bits": 4, "group": 32}, {"bits": 4, "group": 7})

#: ||out - ref|| / ||ref|| against float64 products of the weights as dequantised.
TOLERANCE = 2e-6


def weights(rng: np.random.Generator, text: str) -> np.ndarray:
    """A matrix that obeys a format."""
    fmt = pith.sparse.as_format(text)[0]
    shape = tuple(int(d) * int(n) for d, n in zip(fmt.divisors(), rng.integers(3, 30, 2)))
    w = rng.standard_normal(shape).astype(np.float32)
    if text in ("dense", "csr", "csc"):
        return np.where(rng.random(shape) < 0.4, w, 0).astype(np.float32)
    return pith.prune(w, text, **density(text))


def legal_hss(rng: np.random.Generator) -> str:
    """The first format drawn whose ranks may share rows as they do."""
    while True:
        text = random_hss(rng)
        try:
            pith.HSS.parse(text)
        except pith.FormatError:
            continue
        return text


def close(out, reference) -> None:
    out = np.asarray(out)
    assert out.shape == reference.shape
    assert np.linalg.norm(out - reference) <= TOLERANCE * max(np.linalg.norm(reference), 1e-30)


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_products_with_f32(text, scheme):
    """A width takes matmul or linear, in turn: in every format, both meet 8 and 4 bits at every width."""
    rng = np.random.default_rng(11)
    w = weights(rng, text)
    q = pith.quantize(w, text, **scheme)
    wide = q.dequantize().to_dense().astype(np.float64)
    for i, columns in enumerate((1, 5, 70), start=FORMATS.index(text) + SCHEMES.index(scheme)):
        x = rng.standard_normal((w.shape[1], columns)).astype(np.float32)
        if i % 2:
            close(pith.matmul(q, x), wide @ x)
        else:
            close(pith.linear(np.ascontiguousarray(x.T), q), (wide @ x).T)


@pytest.mark.parametrize("bits, group", [(4, 32), (4, 64), (4, 96), (4, 256), (4, 48), (8, 32), (8, 64)])
def test_one_column_of_whole_groups(bits, group):
    """Dense rows of whole groups are dot products in registers; every zero point and integer occurs."""
    rng = np.random.default_rng(group)
    for rows, groups in ((1, 1), (7, 2), (70, 5)):
        w = rng.standard_normal((rows, groups * group)).astype(np.float32) + rng.uniform(-3, 3, (rows, 1))
        q = pith.quantize(w.astype(np.float32), bits=bits, group=group)
        wide, x = q.dequantize().to_dense().astype(np.float64), rng.standard_normal(w.shape[1]).astype(np.float32)
        close(q @ x, wide @ x)
        close(q.linear(x[None], np.ones(rows, np.float32), "relu"), np.maximum(wide @ x + 1, 0)[None])
        x[3], wide[:, 3] = np.inf, np.abs(wide[:, 3]) + 1
        assert np.isnan((q @ x)[q.dequantize().to_dense()[:, 3] == 0]).all()
        np.testing.assert_array_equal(np.isinf(q @ x), q.dequantize().to_dense()[:, 3] != 0)


@pytest.mark.parametrize("seed", range(8))
def test_random_formats(seed):
    rng = np.random.default_rng(seed)
    text = legal_hss(rng)
    w = weights(rng, text)
    q = pith.quantize(w, text, bits=4, group=int(rng.choice((5, 8, 24, 64))))
    x = rng.standard_normal((w.shape[1], int(rng.choice((1, 3, 40))))).astype(np.float32)
    close(q @ x, q.dequantize().to_dense().astype(np.float64) @ x)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_rounding_errors_are_bounded(scheme):
    """Half a scale per row; a whole one in groups, where the zero point is rounded too."""
    rng = np.random.default_rng(3)
    a = pith.compress(pith.prune(rng.standard_normal((40, 64)).astype(np.float32) * 10, "C0(2:4)"), "C0(2:4)")
    q = pith.quantize(a, **scheme)
    error = np.abs(q.dequantize().values.astype(np.float64) - a.values)
    if "group" not in scheme:
        assert (error.reshape(40, -1) <= q.scales[:, None] * 0.5001).all()
        return
    scales = q.scales[np.arange(a.nse) // scheme["group"]]
    assert (error <= scales * 1.0001).all()
    assert q.integers.min() >= -(1 << q.bits - 1) and q.integers.max() < 1 << q.bits - 1


@pytest.mark.parametrize("text", ["C0(2:4) pad", "B(4x4)C0(1:2) pad", "V(3)C1(*)->C0(3:5) pad", "band(1:2) pad"])
def test_padded_formats(text):
    """7 x 19: what is stored beyond the edge is zero in every scheme, and multiplies nothing."""
    rng = np.random.default_rng(19)
    w = pith.prune(rng.standard_normal((7, 19)).astype(np.float32), text)
    q = pith.quantize(w, text)
    stored = q.dequantize().to_dense()
    assert (np.abs(stored - w) <= np.abs(w).max(1, keepdims=True) / 254 + 1e-7).all()
    x8 = rng.integers(-128, 128, (5, 19)).astype(np.int8)
    reference = (x8.astype(np.float64) - 3) * 0.125 @ stored.T
    np.testing.assert_allclose(q.linear(x8, x_scale=0.125, x_zero=3), reference, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(q.linear(x8.astype(np.float32)), x8.astype(np.float64) @ stored.T, rtol=1e-5, atol=1e-3)


def test_zeros_stay_zero():
    w = np.zeros((8, 16), np.float32)
    w[0, 3] = 5
    for scheme in SCHEMES:
        dense = pith.quantize(w, "C0(2:4)", **scheme).dequantize().to_dense()
        assert np.count_nonzero(dense) == 1 and abs(dense[0, 3] - 5) < 0.4


@pytest.mark.parametrize("text", ["C0(2:4)", "csr", "B(4x1)C0(2:4)", "dense"])
@pytest.mark.parametrize("columns", [1, 33])
def test_bytes_by_bytes(text, columns):
    """W8A8: sums are exact; scale, zero points, bias, ReLU and rounding as float64 has them."""
    rng = np.random.default_rng(5)
    w = weights(rng, text)
    q = pith.quantize(w, text)
    integers = pith.SparseTensor(q.shape, q.format, (*q.buffers[:-1], q.integers)).to_dense().astype(np.int64)
    x = rng.integers(-128, 128, (columns, w.shape[1])).astype(np.int8)
    bias = rng.standard_normal(w.shape[0]).astype(np.float32)
    y = (x.astype(np.int64) - 3) @ integers.T * q.scales.astype(np.float64) * 0.05 + bias
    close(pith.linear(x, q), x.astype(np.int64) @ integers.T * q.scales.astype(np.float64))
    close(q.linear(x, bias, x_scale=0.05, x_zero=3), y)
    out = q.linear(x, bias, "relu", x_scale=0.05, x_zero=3, out_scale=0.25, out_zero=-100)
    exact = np.maximum(y, 0) / 0.25
    expected = np.clip(np.rint(exact) - 100, -128, 127)
    tie = np.abs(exact - np.floor(exact) - 0.5) < 1e-3  # f32 may round those the other way
    assert out.dtype == np.int8
    np.testing.assert_array_equal(out[~tie], expected[~tie])
    assert np.abs(out - expected).max() <= 1
    close(q.matmul(np.ascontiguousarray(x.T), x_zero=3), (x.astype(np.int64) - 3).dot(integers.T).T * q.scales[:, None])


def test_requantising_saturates_and_rounds_to_even():
    q = pith.quantize(np.float32([[127]]), "dense")
    assert q.scales.tolist() == [1]
    assert q.matmul(np.float32([[-1e7, -2, 0, 2, 1e7, np.nan]]), out_scale=254).tolist() == [
        [-128, -1, 0, 1, 127, -128]
    ]
    assert q.matmul(np.float32([[1, 3, 5, -1, -3]]), out_scale=254).tolist() == [[0, 2, 2, 0, -2]]


def test_residual_activation_and_torch():
    rng = np.random.default_rng(2)
    w = pith.prune(rng.standard_normal((24, 32)).astype(np.float32), "C0(2:4)")
    q = pith.quantize(w, "C0(2:4)", bits=4, group=16)
    x, r = torch.from_numpy(rng.standard_normal((2, 3, 32)).astype(np.float32)), torch.ones(2, 3, 24)
    out = pith.linear(x, q, torch.zeros(24), "silu", r)
    z = x.numpy().astype(np.float64) @ q.dequantize().to_dense().T.astype(np.float64)
    assert isinstance(out, torch.Tensor)
    close(out.numpy(), z / (1 + np.exp(-z)) + 1)
    close(q @ x[0, 0], z[0, 0])


def test_zero_points_are_integers_of_as_many_bits():
    q = pith.quantize(np.float32([[-8, 7, 1]]), "dense", bits=4, group=3)
    with pytest.raises(pith.ArgumentError, match="from -8 to 7, got 9"):
        dataclasses.replace(q, zero_points=np.int8([9]))


def test_storage_is_small_and_packed_low_half_first():
    q = pith.quantize(np.float32([[-8, 7, 1]]), "dense", bits=4, group=3)
    assert q.scales.tolist() == [1] and q.zero_points.tolist() == [0]
    assert q.buffers[-1].view(np.uint8).tolist() == [0x78, 0x01] and q.integers.tolist() == [-8, 7, 1]
    big = pith.quantize(pith.prune(np.ones((64, 256), np.float32), "C0(2:4)"), "C0(2:4)", bits=4, group=64)
    assert big.nbytes == 64 * 128 // 2 + 64 * 128 // 4 + 128 * 5  # values, coordinates, scales and zero points


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda w, q: pith.quantize(w, bits=4), pith.ArgumentError, "bits=4 with a group"),
        (lambda w, q: pith.quantize(w, bits=3, group=8), pith.ArgumentError, "bits=3"),
        (lambda w, q: pith.quantize(w, group=0), pith.ArgumentError, "positive group"),
        (lambda w, q: pith.quantize(w, group=8.0), pith.ArgumentError, "positive group"),
        (lambda w, q: pith.quantize(w * np.nan), pith.ArgumentError, "finite"),
        (lambda w, q: pith.quantize(w.astype(np.int8)), pith.DTypeError, "floating-point"),
        (lambda w, q: pith.quantize(w[0]), pith.ShapeError, "rank 2"),
        (lambda w, q: w @ q, pith.UnsupportedError, "from the left"),
        (lambda w, q: pith.matmul(w, q), pith.UnsupportedError, "from the left"),
        (lambda w, q: pith.matmul(q, w.T, variant="lanes=4,rows=1"), pith.UnsupportedError, "no variant"),
        (lambda w, q: pith.matmul(q, w.T, out=w), pith.UnsupportedError, "out does not apply"),
        (lambda w, q: q @ np.ones((3, 2), np.float32), pith.ShapeError, "expects x of shape"),
        (lambda w, q: q @ np.ones((8, 2), np.float64), pith.DTypeError, "f32 or i8"),
        (lambda w, q: q @ np.ones((8, 2), ml_dtypes.bfloat16), pith.DTypeError, "f32 or i8"),
        (lambda w, q: q.matmul(np.ones((8, 2), np.float32), x_zero=1), pith.ArgumentError, "x_zero"),
        (lambda w, q: q @ np.ones((8, 2), np.uint8), pith.DTypeError, "got uint8"),
        (lambda w, q: q.matmul(np.ones((8, 2), np.int8), x_scale=0.0), pith.ArgumentError, "x_scale is a positive"),
        (
            lambda w, q: q.matmul(np.ones((8, 2), np.int8), out_scale=np.nan),
            pith.ArgumentError,
            "out_scale is a positive",
        ),
        (lambda w, q: q.matmul(np.ones((8, 2), np.int8), x_zero=0.5), pith.ArgumentError, "x_zero is an integer"),
        (lambda w, q: pith.quantize(w, group=4) @ np.ones((8, 2), np.int8), pith.UnsupportedError, "scales per group"),
        (lambda w, q: q.linear(np.ones((2, 8), np.float32), activation="tanh"), pith.ArgumentError, "tanh"),
        (lambda w, q: q.linear(np.ones((2, 8), np.float32), np.ones(3)), pith.ShapeError, "bias"),
    ],
)
def test_errors(call, error, says):
    w = np.arange(32, dtype=np.float32).reshape(4, 8)
    with pytest.raises(error, match=says):
        call(w, pith.quantize(w))


SUM_OF_ROWS = """%zero = arith.constant dense<0.0> : tensor<8xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%w : tensor<8x16xf32, #fmt>) outs(%zero : tensor<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %t = arith.addf %o, %v : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>"""


@pytest.mark.parametrize("path", ["auto", "loops", "sparsifier"])
@pytest.mark.parametrize("text", ["C0(2:4)", "csr"])
def test_other_readers_of_quantised_values(text, path):
    """Whatever is not a product reads dequantised values too, also in formats that upstream could iterate over."""
    w = pith.prune(np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32), "C0(2:4)")
    q = pith.quantize(w, text, bits=4, group=8)
    dense = q.dequantize().to_dense()
    unpack = '%y = "pith.decompress"(%w) : (tensor<8x16xf32, #fmt>) -> tensor<8x16xf32>'
    for body, shape, expected in ((unpack, "8x16", dense), (SUM_OF_ROWS, "8", dense.sum(1))):
        kernel = compile_source(
            f"""#fmt = {format_attribute(q.format)}
func.func @f(%q: tensor<8x16xi4, #fmt>, %s: tensor<?xf32>, %z: tensor<?xi8>) -> tensor<{shape}xf32> {{
  %w = "pith.dequantize"(%q, %s, %z) {{group = 8 : i64}}
    : (tensor<8x16xi4, #fmt>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x16xf32, #fmt>
  {body}
  return %y : tensor<{shape}xf32>
}}
""",
            "f",
            path=path,
        )
        close(kernel.native(*q.buffers, q.scales, q.zero_points), expected.astype(np.float64))


@pytest.mark.parametrize("group", [None, 4])
@pytest.mark.parametrize("extreme", [1e-45, 1e-38, 3e38])
def test_extreme_finite_values(extreme, group):
    """The smallest and the largest floats have scales that are floats."""
    w = np.array([[extreme, 0, -extreme, 0, 0, 0, extreme, 0]] * 2, np.float32)
    q = pith.quantize(w, "C0(2:4)", bits=8, group=group)
    assert np.isfinite(q.scales).all() and (q.scales > 0).all()
    error = np.abs(q.dequantize().to_dense().astype(np.float64) - w)
    assert error.max() <= 2 * max(extreme / 127, float(np.finfo(np.float32).tiny))
