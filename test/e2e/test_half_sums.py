"""Sums of half precision inside compiled modules are sums in f32, rounded once, as torch's are."""

import pith
import pytest
import torch
from torch.nn import functional

HALVES = (torch.float16, torch.bfloat16)
#: Relative error of results rounded once, and of elements on the way there.
TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


class Compiled(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def compiled(function, *args):
    result = pith.compile(Compiled(function).eval(), args)(*args)
    return torch.as_tensor(result)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "reduce",
    [
        lambda x: x.sum(-1),
        lambda x: x.T.contiguous().sum(0),
        lambda x: x.sum(),
        lambda x: x.mean(-1),
        lambda x: x.nansum(-1),
        lambda x: x.norm(dim=-1),
        lambda x: torch.einsum("ij->i", x),
        lambda x: x.softmax(-1).sum(-1),
        lambda x: functional.adaptive_avg_pool1d(x[None], 1),
    ],
)
def test_many_ones(reduce, dtype):
    """Added up in 16 bits, the sum of so many stays 256 per lane of bfloat16."""
    x = torch.ones(2, 30000, dtype=dtype)
    torch.testing.assert_close(compiled(reduce, x), reduce(x))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.layer_norm(x, x.shape[-1:]),
        lambda x: functional.rms_norm(x, x.shape[-1:]),
        lambda x: functional.normalize(x),
        lambda x: (x / 10).norm(dim=-1),
        lambda x: torch.linalg.vector_norm(x / 10, 3, dim=-1),
        lambda x: functional.cosine_similarity(x, x * 0.5 + 100),
        lambda x: functional.pairwise_distance(x, x * 0.5),
    ],
)
def test_squares_that_half_precision_does_not_hold(function, dtype):
    torch.manual_seed(0)
    x = (torch.randn(4, 300) * 300 + 50).to(dtype)
    result, expected = compiled(function, x), function(x.double())
    assert result.dtype == dtype
    assert (result.double() - expected).norm() <= TOLERANCE[dtype] * expected.norm()


@pytest.mark.parametrize("dtype", HALVES)
def test_parameters_in_single_precision(dtype):
    """The result has the type of what is normalised."""
    x, w, b = torch.randn(2, 8).to(dtype), torch.randn(8), torch.rand(8) + 1
    for function in (
        lambda x: functional.layer_norm(x, (8,), w, b),
        lambda x: functional.batch_norm(x, w, b, b, w),
    ):
        torch.testing.assert_close(compiled(function, x), function(x), rtol=4 * TOLERANCE[dtype], atol=TOLERANCE[dtype])
