"""Convolutions with stored filters against float64: ``pith.conv2d`` and compiled modules, any format and geometry."""

import copy
import re

import numpy as np
import pith
import pytest
import torch
from torch import nn

FORMATS = (
    "MCRS: C0(2:4)",
    "MCRS: C1(2:4)->C0(2:4)",
    "MCRS: V(4)C0(2:4)",
    "MCRS: C(*)",
    "MCRS: B(4x4)C0(*)",
    "MCRS: C0(2:4)->R->S",  # windows of a channel are kept as a whole: k is (c, r, s)
    "MCRS: R->C1->S->C0(2:4)",  # channels in two parts: k is (r, c1, s, c0)
)

#: Images, channels, filters, height, width, window and geometry: nothing divides anything that kernels are made of.
CASES = (
    ((1, 16, 20, 9, 11), (3, 3), {"padding": 1}),
    ((3, 16, 20, 9, 21), (2, 5), {"padding": (1, 2), "stride": (1, 2)}),
    ((1, 16, 12, 33, 31), (3, 3), {"stride": 2, "padding": 1}),  # many panels: packed by the tasks
    ((1, 16, 8, 40, 37), (3, 3), {"stride": 3, "dilation": 2}),
    ((2, 16, 12, 8, 7), (1, 1), {}),
    ((2, 16, 12, 33, 7), (5, 2), {"stride": (2, 1), "dilation": 3, "padding": (2, 4)}),  # runs end before it
)


def _operands(rng, case, fmt, dtype=np.float32):
    (n, c, f, height, width), window, geometry = case
    w = pith.prune(rng.standard_normal((f, c, *window)).astype(dtype), fmt)
    return rng.standard_normal((n, c, height, width)).astype(dtype), w, geometry


def _convolved(x, w, geometry):
    return torch.nn.functional.conv2d(*(torch.from_numpy(v.astype(np.float64)) for v in (x, w)), **geometry).numpy()


def _check(out, reference, tolerance):
    assert out.shape == reference.shape
    assert np.linalg.norm(out - reference) <= tolerance * np.linalg.norm(reference)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("case", CASES[:2], ids=["plain", "strided"])
def test_formats(fmt, case):
    x, w, geometry = _operands(np.random.default_rng(0), case, fmt)
    _check(pith.conv2d(x, pith.compress(w, fmt), **geometry), _convolved(x, w, geometry), 1e-6)


@pytest.mark.parametrize("case", CASES[2:], ids=["stride 2", "stride 3", "pointwise", "padded"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_geometries_with_an_epilogue(case, dtype):
    rng = np.random.default_rng(1)
    x, w, geometry = _operands(rng, case, "MCRS: C0(2:4)", dtype)
    plain = _convolved(x, w, geometry)
    bias, residual = rng.standard_normal(len(w)).astype(dtype), rng.standard_normal(plain.shape).astype(dtype)
    out = pith.conv2d(x, pith.compress(w, "MCRS: C0(2:4)"), **geometry, bias=bias, activation="relu", residual=residual)
    _check(out, np.maximum(plain + bias[:, None, None], 0) + residual, 1e-6 if dtype is np.float32 else 1e-14)


def test_dense_filters_with_an_epilogue():
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 5, 9, 8), np.float32), rng.standard_normal((7, 5, 3, 3), np.float32)
    out = pith.conv2d(torch.from_numpy(x), w, bias=np.ones(7, np.float32), activation="relu")
    _check(out.numpy(), np.maximum(_convolved(x, w, {}) + 1, 0), 1e-6)


def test_channels_that_groups_do_not_divide():
    """Padded filters: images are read as if they had channels of zeros behind the last one."""
    x, w, geometry = _operands(np.random.default_rng(3), ((1, 6, 10, 9, 9), (3, 3), {}), "MCRS: C0(2:4) pad")
    _check(pith.conv2d(x, pith.compress(w, "MCRS: C0(2:4) pad")), _convolved(x, w, geometry), 1e-6)


def test_a_channel_that_is_nowhere_kept_may_be_anything():
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((1, 8, 9, 9), np.float32), rng.standard_normal((5, 8, 3, 3), np.float32)
    w[:, [1, 6]] = 0
    stored = pith.compress(w, "MCRS: C(*)")
    reference = _convolved(x, w, {})
    x[:, [1, 6]] = np.nan
    _check(pith.conv2d(x, stored), reference, 1e-6)


def test_no_filter_holds_anything():
    x, w = np.ones((1, 4, 5, 5), np.float32), np.zeros((3, 4, 3, 3), np.float32)
    assert not pith.conv2d(x, pith.compress(w, "MCRS: C(*)")).any()


STORED = pith.compress(np.ones((4, 4, 3, 3), np.float32), "MCRS: C0(4:4)")
X = np.ones((1, 4, 5, 5), np.float32)


@pytest.mark.parametrize(
    ("error", "message", "x", "options"),
    [
        (pith.UnsupportedError, "without patterns and groups", X, {"groups": 2}),
        (pith.UnsupportedError, "without patterns", X, {"channels": pith.Pattern.from_indices([1], sizes=4)}),
        (pith.ShapeError, "got .1, 3, 5, 5. and .4, 4, 3, 3.", X[:, :3], {}),
        (pith.ShapeError, "bias: expects shape .4,., got .3,.", X, {"bias": np.ones(3, np.float32)}),
        (pith.ShapeError, "residual: expects shape .1, 4, 3, 3.", X, {"residual": X}),
        (pith.ShapeError, "does not fit", X, {"dilation": 4}),
        (pith.DTypeError, "no kernel for float64 and stored float32", X.astype(float), {}),
        (pith.ArgumentError, "unknown activation 'tanh'", X, {"activation": "tanh"}),
    ],
)
def test_bad_input(error, message, x, options):
    with pytest.raises(error, match=message):
        pith.conv2d(x, STORED, **options)


class Block(nn.Module):
    """A basic block of a ResNet, with a shortcut that downsamples."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(channels, filters, 1, stride, bias=False)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(filters) for _ in range(3))

    def forward(self, x):
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.bn3(self.short(x)))


class Inverted(nn.Module):
    """An inverted residual of a MobileNet: pointwise, a filter per channel, pointwise."""

    def __init__(self, channels, inner):
        super().__init__()
        self.up, self.down = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
        self.each = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)

    def forward(self, x):
        return x + self.down(nn.functional.relu6(self.each(nn.functional.relu6(self.up(x)))))


def _pruned(module, names, fmt):
    torch.manual_seed(5)
    module = module.eval()
    for name, parameter in module.named_parameters():
        parameter.data.normal_(std=0.2)
        if any(n in name for n in names):
            parameter.data = pith.prune(parameter.data, fmt)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return module


def _check_module(module, x, sparsity, **options):
    kernel = pith.compile(module, (x,), sparsity=sparsity, path="sparse", **options)
    with torch.no_grad():
        reference = copy.deepcopy(module).double()(x.double())
    assert ((kernel(x).double() - reference).norm() / reference.norm()).item() < 1e-6
    return kernel


@pytest.mark.parametrize("fmt", ["MCRS: C0(2:4)", "MCRS: C1(2:4)->C0(2:4)"])
def test_basic_block(fmt):
    """Batch norms, what is added and ReLU are computed where the products store."""
    module = _pruned(Block(16, 32, 2), ("conv", "short"), fmt)
    kernel = _check_module(module, torch.randn(1, 16, 19, 17), {"conv*.weight": fmt, "short.weight": fmt})
    plans = kernel.explain()
    assert plans.count("] panel:") == 3
    assert "fused: scale, relu" in plans


def test_inverted_residual():
    fmt = "MCRS: C0(2:4)"
    module = _pruned(Inverted(8, 24), ("up.weight", "down.weight"), fmt)
    kernel = _check_module(module, torch.randn(2, 8, 9, 10), {"up.weight": fmt, "down.weight": fmt})
    assert kernel.explain().count("] panel:") == 2


def test_any_number_of_images():
    fmt = "MCRS: C0(2:4)"
    module = _pruned(nn.Conv2d(8, 12, 3, padding=1), ("weight",), fmt)
    options = {"dynamic_shapes": {"input": {0: "n"}}}
    kernel = _check_module(module, torch.randn(2, 8, 7, 9), {"weight": fmt}, **options)
    x = torch.randn(5, 8, 7, 9)
    torch.testing.assert_close(kernel(x), module(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer, sizes", [(nn.Conv1d(8, 6, 3), (2, 8, 10)), (nn.Conv2d(8, 6, 3), (2, 8, 10, 9))])
@pytest.mark.parametrize("said", ["C0(2:4)", "CSR"])
def test_formats_of_matrices_are_refused_with_formats_of_filters(layer, sizes, said):
    torch.manual_seed(0)
    x = torch.randn(sizes)
    with pytest.raises(pith.ShapeError, match="for rank 2, got shape") as raised:
        pith.compile(layer, (x,), sparsity={"weight": said})
    advised = re.findall("'([^']+)'", raised.value.hint or "")
    assert len(advised) == 2
    for fmt in advised:
        pruned = copy.deepcopy(layer)
        if "*" not in fmt:
            pruned.weight.data = pith.prune(layer.weight.detach(), fmt)
        out = pith.compile(pruned, (x,), sparsity={"weight": fmt})(x)
        torch.testing.assert_close(torch.as_tensor(out), pruned(x).detach(), rtol=1e-4, atol=1e-5)
