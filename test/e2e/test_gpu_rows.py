"""Softmax, layer norm and the like as one kernel each, under emulation against float64, and through ptxas."""

import copy
import re

import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith.tools import ptxas

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TARGET = "emulate:sm_90"


class Rms(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.randn(width))

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.gain


class Masked(torch.nn.Module):
    """Probabilities of attention: scaled, masked by query and key, the same for all heads."""

    def __init__(self, queries, keys):
        super().__init__()
        self.register_buffer("mask", torch.triu(torch.full((queries, keys), float("-inf")), 1))

    def forward(self, scores):
        return torch.softmax(scores * 0.25 + self.mask, -1)


class Statistics(torch.nn.Module):
    """Results by row leave the kernel, too."""

    def forward(self, x):
        most = x.amax(-1, keepdim=True)
        shifted = torch.exp(x - most)
        total = shifted.sum(-1)
        return shifted, total, torch.log(total) + most.squeeze(-1)


class Residual(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x, y):
        s = x + y
        return self.norm(s) + s


def compiled(model, args, target=TARGET, **options):
    return pith.compile(model.eval(), args, target=target, **options)


def kinds(kernel):
    return re.findall(r"^\[\d+\] \w+?_([a-z]+)_\d+\(", kernel.explain(), re.MULTILINE)


def check(model, args, tolerance=2e-6, **options):
    """The largest relative error of a result; and the kinds of kernels that make them."""
    with torch.no_grad():
        kernel = compiled(model, args, **options)
        outs = kernel(*args)
        refs = copy.deepcopy(model).double()(*(a.double() for a in args))
    single = not isinstance(refs, tuple)
    for out, ref in zip([outs] if single else outs, [refs] if single else refs):
        out = torch.as_tensor(np.asarray(out) if not isinstance(out, torch.Tensor) else out).double()
        assert out.shape == ref.shape
        assert float((out - ref).norm()) <= tolerance * float(ref.norm())
    return kinds(kernel)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(4, 10, 48), (3, 37), (1, 5, 129), (9, 600), (2, 1023), (50,), (7, 2)])
def test_softmax(shape):
    assert check(torch.nn.Softmax(-1), (torch.randn(shape) * 9,)) == ["rows"]


@pytest.mark.parametrize("shape", [(4, 10, 48), (3, 37), (2, 700)])
@pytest.mark.parametrize("make", [torch.nn.LayerNorm, Rms, lambda n: torch.nn.LayerNorm(n, elementwise_affine=False)])
def test_normalisations(make, shape):
    assert check(make(shape[-1]), (torch.randn(shape) * 3 + 1,)) == ["rows"]


def test_chains_of_them():
    model = torch.nn.Sequential(torch.nn.LayerNorm(40), torch.nn.Softmax(-1), torch.nn.GELU())
    assert check(model, (torch.randn(6, 3, 40),)) == ["rows"]
    assert check(Residual(40), (torch.randn(6, 40), torch.randn(6, 40))) == ["rows"]


def test_masks_are_read_where_they_lie():
    assert check(Masked(7, 19), (torch.randn(2, 3, 7, 19) * 5,)) == ["rows"]
    names = check(Masked(7, 19), (torch.randn(2, 3, 7, 19),), dynamic_shapes=({0: torch.export.Dim("b")},))
    assert names == ["rows"]


def test_results_by_row():
    """What others read, too, is copied to be a result."""
    for shape in ((5, 3, 44), (5, 777)):
        first, *others = check(Statistics(), (torch.randn(shape),))
        assert first == "rows" and set(others) <= {"copy"}


def test_any_number_of_rows():
    model = torch.nn.Softmax(-1)
    kernel = compiled(model, (torch.randn(4, 48),), dynamic_shapes=({0: torch.export.Dim("n")},))
    assert kinds(kernel) == ["rows"]
    for rows in (1, 8, 9, 33):
        x = torch.randn(rows, 48)
        np.testing.assert_allclose(kernel(x), model(x), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_types(dtype):
    x = torch.randn(5, 96, dtype=dtype)
    model = torch.nn.Softmax(-1)
    kernel = compiled(model, (x,))
    assert kinds(kernel) == ["rows"]
    ref = model(x.double())
    assert float((kernel(x).double() - ref).norm()) <= (2e-3 if dtype == torch.float16 else 1e-2) * float(ref.norm())


def test_rows_that_hold_nan_and_infinities():
    x = torch.randn(6, 40)
    x[1, 3], x[2, 5], x[4] = float("nan"), float("inf"), float("-inf")
    out, ref = compiled(torch.nn.Softmax(-1), (x,))(x), torch.softmax(x.double(), -1)
    np.testing.assert_array_equal(torch.isnan(out), torch.isnan(ref))
    np.testing.assert_allclose(out[[0, 3, 5]], ref[[0, 3, 5]], rtol=1e-5, atol=1e-8)


def test_what_is_no_group():
    """Softmax over another dimension, rows longer than registers hold, sums that nothing of the row follows."""
    assert check(torch.nn.Softmax(0), (torch.randn(20, 30),)) == ["reduce", "map", "reduce", "map"]
    assert "rows" not in check(torch.nn.Softmax(-1), (torch.randn(2, 9000),))

    class Sum(torch.nn.Module):
        def forward(self, x):
            return x.sum(-1)

    assert check(Sum(), (torch.randn(20, 30),)) == ["reduce"]


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("columns", [48, 512, 4096, 8192])
def test_ptxas_assembles_without_spills(columns, chip):
    model = torch.nn.Sequential(torch.nn.LayerNorm(columns), torch.nn.Softmax(-1))
    kernel = compiled(model, (torch.randn(64, columns),), target=chip)
    assembled = ptxas.assemble(kernel.ir("ptx"), chip)
    assert kinds(kernel) == ["rows"] and max(assembled.spill_bytes.values()) == 0
