"""Elementwise ops, running extremes and ranks of compiled modules, with NaN, infinities, ties and signed zeros."""

import math

import pith
import pytest
import torch

NAN, INF = math.nan, math.inf

#: Every pair of these meets.
EDGES = torch.tensor([0.0, -0.0, 1.5, -2.5, 3e38, 1e-30, INF, -INF, NAN])


class Compiled(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def same(function, *args, **options):
    """Results of a compiled function are torch's: values, element types, shapes, NaN."""
    results = pith.compile(Compiled(function).eval(), args, **options)(*args)
    expected = function(*args)
    if isinstance(expected, torch.Tensor):
        results, expected = (results,), (expected,)
    for result, reference in zip(results, expected, strict=True):
        result = torch.as_tensor(result)
        torch.testing.assert_close(result, reference, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pairs_of_numbers(dtype):
    x, y = (v.flatten().to(dtype) for v in torch.meshgrid(EDGES, EDGES, indexing="ij"))
    same(lambda x, y: (torch.hypot(x, y), torch.fmax(x, y), torch.fmin(x, y)), x, y)
    same(
        lambda x, y: (
            torch.copysign(x, y),
            torch.copysign(x, -1.0),
            torch.signbit(torch.copysign(x.abs().nan_to_num(), y)),
        ),
        x,
        y,
    )


def test_nan_passes_bounds():
    x, y = (v.flatten() for v in torch.meshgrid(EDGES, EDGES, indexing="ij"))
    same(lambda x, y: (torch.maximum(x, y), torch.minimum(x, y), x.clamp(min=y), x.clamp(y, y + 1)), x, y)
    same(lambda x: (x.clamp(0.5, 2), x.clamp(min=0.5), x.clamp(max=2), x.clamp(2, 1), x.clamp_min(1)), x)
    same(lambda x: (torch.nn.functional.hardtanh(x), torch.nn.functional.relu6(x), x.relu()), x)
    same(lambda n: (n.clamp(-1, 2), n.clamp(-0.5, 1.5), n.clamp(max=0)), torch.arange(-4, 5))


def test_signs_of_other_types():
    x = EDGES[:-1].to(torch.bfloat16)  # NaN count as positive
    n = torch.arange(-4, 4)
    same(lambda x, n: (torch.copysign(x, -x), torch.signbit(x), torch.copysign(n, -2), torch.signbit(n)), x, n)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64])
def test_bits_with_numbers(dtype):
    x = torch.tensor([0, 1, 5, 64, 127]).to(dtype)
    y = torch.tensor([3, 0, 1, 2, 1]).to(dtype)
    same(lambda x, y: (x & 6, x | 9, x ^ 3, ~x, torch.bitwise_or(12, x)), x, y)
    same(lambda x, y: (x << 1, x >> 1, x << y, x >> y, x & y, x | y, x ^ y), x, y)


def test_bits_of_truth_values():
    x = torch.tensor([True, False, True])
    same(lambda x: (x | True, x & False, x ^ True, ~x, x | 2), x)


def test_products_of_int8():
    """torch-mlir ends the process for those that stay int8; they wrap."""
    x, y = torch.randint(-128, 128, (2, 5, 7), dtype=torch.int8)
    same(lambda x, y: (x @ y.T, torch.nn.functional.linear(x, y), torch.bmm(x[None], y.T[None]), x @ y[0]), x, y)
    same(lambda x, y: torch.einsum("ab,cb->ac", x, y) % True, x, y)


def test_int8_with_numbers():
    """torch-mlir ends the process where int8 meets a number."""
    x = torch.tensor([-128, -3, 0, 5, 127], dtype=torch.int8)
    same(lambda x: (x * 2, x - 2, 3 - x, x // 2, x % 3, x + 100, x / 2, x > 2, x.clamp(-1, 1), x * 2.5), x)


def test_finite_numbers_and_bounds_of_integers():
    same(lambda x: (torch.isfinite(x), torch.isfinite((x * 0).nan_to_num().int())), EDGES)
    same(lambda x: (torch.xlogy(x, 2), torch.xlogy(2.0, x), torch.xlogy(x, x + 1)), torch.tensor([0.0, 0.5, 3.0]))
    for dtype in (torch.int8, torch.int32, torch.int64):
        same(lambda n: torch.nn.functional.hardtanh(n), torch.arange(-4, 5).to(dtype))


def test_uint8_has_no_sign():
    x, y = (torch.tensor(v, dtype=torch.uint8) for v in ([1, 5, 200, 130, 7, 255], [1, 2, 150, 7, 200, 3]))
    same(lambda x, y: (x // 3, x % 3, x // y, x % y, x + y, x - y, x * y, x / y, torch.fmod(x, 3)), x, y)
    same(
        lambda x, y: (x.sum(), x.max(), x.amin(), x.prod(), x.abs(), -x, x.max(0).values, x.argmax(), x.cumsum(0)), x, y
    )
    same(lambda x, y: (x * 0.5, x.float() / 255, x > y, torch.maximum(x, y), x.clamp(2, 140), x.sort().values), x, y)
    same(lambda x, y: (torch.where(x > 2, x, y), torch.cat([x, y])[1:], x.any(), x.float().to(torch.uint8)), x, y)


@pytest.mark.parametrize("shape, dim", [((3, 7), 1), ((9, 2), 0), ((2, 1, 5), 1), ((33,), -1), ((), 0)])
def test_running_extremes(shape, dim):
    torch.manual_seed(0)
    x = torch.randn(shape).round(decimals=1)
    same(lambda x: (*x.cummax(dim), *x.cummin(dim), x.logcumsumexp(dim), x.cumsum(dim), x.cumprod(dim)), x)


def test_running_extremes_at_the_edges():
    x = torch.tensor([1.0, 1.0, -INF, INF, 2.0, NAN, 5.0, NAN, INF])
    same(lambda x: (*x.cummax(0), *x.cummin(0)), x)
    same(lambda x: x.logcumsumexp(0), torch.tensor([-INF, -INF, 1.0, 80.0, -90.0, INF, 3.0]))
    same(lambda x: (*x.cummax(0), *x.cummin(0)), torch.tensor([3, 1, 3, 2, 1]))


@pytest.mark.parametrize("shape, dim", [((3, 7), 1), ((8, 3), 0), ((5,), -1), ((2, 1), 1), ((), 0)])
def test_medians(shape, dim):
    torch.manual_seed(1)
    x = torch.randn(shape)
    same(lambda x: (*x.median(dim), x.median(), *x.median(dim, keepdim=True), *x.kthvalue(1, dim)), x)


def test_medians_with_nan_and_of_integers():
    x = torch.tensor([[3.0, NAN, 1.0, 2.0], [4.0, 1.0, 3.0, 2.0]])
    same(lambda x: (*x.median(1), x.median(), x[1].median()), x)
    same(lambda x: (*x.median(0), x.median()), torch.tensor([5, 2, 9, 4]))


def test_sorted_boundaries():
    edges, rows = torch.tensor([-1.0, 0.0, 0.0, 0.5]), torch.tensor([[0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])
    x = torch.tensor([[-2.0, -1.0, 0.0, 0.5, 9.0], [NAN, INF, -INF, 0.25, -0.0]])
    same(lambda x, e: (torch.bucketize(x, e), torch.bucketize(x, e, right=True), torch.searchsorted(e, x)), x, edges)
    same(lambda r, x: (torch.searchsorted(r, x), torch.searchsorted(r, x, side="right", out_int32=True)), rows, x)
    same(lambda e: torch.searchsorted(e, 0.0, right=True), edges)
    places = torch.tensor([2, 0, 1])
    same(lambda e, x, p: torch.searchsorted(e, x, sorter=p), torch.tensor([2.0, 3.0, 1.0]), x, places)


def test_tensors_of_one_value():
    """torch-mlir compares a float with an integer bit by bit, and divides integers that have no sign."""
    half, zero = torch.full((3,), 0.5), torch.zeros(3)
    same(lambda x: (zero.clone().zero_().clamp(0, 6) + x, torch.zeros(3) < 1, torch.full((3,), 0.5) < 0, x), zero)
    same(lambda x: (torch.nn.functional.hardswish(torch.zeros(3) + 1), torch.ones(1) <= 0, x + 1), half)
    same(lambda x: (torch.div(torch.full((3,), -3), torch.full((3,), 2**40), rounding_mode="trunc"), x), zero)
    same(lambda x: torch.nn.functional.cosine_embedding_loss(x, x + 1, torch.ones(2)), torch.ones(2, 5))
    same(lambda x: (torch.zeros(3, dtype=torch.int32) < x, torch.full((2, 3), torch.inf) * 0 + x), half)
