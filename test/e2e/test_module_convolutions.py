"""Convolutions, batch normalisation and GELU of compiled PyTorch modules, against float64."""

import copy

import pith
import pytest
import torch
from pith.lowering.isa import ISAS
from pith.runtime.cpu import cpu_features
from torch import nn


def _check(module, *args, tolerance=1e-6, **options):
    module = module.eval()
    kernel = pith.compile(module, args, **options)
    with torch.no_grad():
        reference = copy.deepcopy(module).double()(*(x.double() for x in args))
    out = kernel(*args)
    assert ((out.double() - reference).norm() / reference.norm()).item() < tolerance
    return kernel


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (2, 5), "stride": (3, 2), "dilation": (2, 1), "bias": False},
        {"kernel_size": 1},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 7, "stride": 2, "padding": 3},
    ],
)
def test_convolution_is_a_product(options):
    torch.manual_seed(0)
    kernel = _check(nn.Conv2d(5, 19, **options), torch.randn(3, 5, 17, 23))
    linalg = kernel.ir("linalg")
    assert "iterator_types = [" + ", ".join(['"parallel"'] * 3 + ['"reduction"']) + "]" in linalg
    assert '"reduction", "reduction"' not in linalg


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (2, {"stride": 2}),
        (3, {"stride": 2, "padding": 1, "output_padding": 1}),
        ((4, 5), {"stride": (2, 3), "padding": 1, "groups": 2, "bias": False}),
        (1, {"stride": 3}),
        (3, {"padding": 1}),
        (2, {"stride": 2, "dilation": 2}),
    ],
)
@pytest.mark.parametrize("images", [1, 3])
def test_transposed(images, kernel, options):
    """Images are not spread out with zeros, unless filters are."""
    torch.manual_seed(8)
    module = nn.Sequential(nn.ConvTranspose2d(8, 6, kernel, **options), nn.ReLU())
    text = _check(module, torch.randn(images, 8, 7, 9)).ir("linalg")
    by_phases = "stride" in options and "dilation" not in options
    assert ("insert_slice" not in text) == by_phases


def test_transposed_of_lines():
    torch.manual_seed(9)
    _check(nn.ConvTranspose1d(8, 6, 4, 2, 1), torch.randn(2, 8, 7))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2, "groups": 3}, {"stride": 4}])
@pytest.mark.parametrize("images", [1, 3])
def test_half_precision(images, options, dtype):
    """Sums are f32; the result is rounded once."""
    torch.manual_seed(6)
    module = nn.Sequential(nn.Conv2d(6, 21, 3, **options), nn.ReLU()).to(dtype)
    kernel = _check(module, torch.randn(images, 6, 17, 23).to(dtype), tolerance=4e-3)
    assert kernel.ir("linalg").count('"reduction"') == 1


@pytest.mark.parametrize("fmt", ["MCRS: R->S->C1->C0(2:4)", "MCRS: C0(2:4)"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_stored_filters_of_half_precision(fmt, dtype):
    torch.manual_seed(7)
    module = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1)).to(dtype)
    module[0].weight.data = pith.prune(module[0].weight.data.float(), fmt).to(dtype)
    x, sparsity = torch.randn(2, 8, 15, 18).to(dtype), {"0.weight": fmt}
    kernel = _check(module, x, tolerance=4e-3, sparsity=sparsity, path="sparse")
    assert "panel" in kernel.explain()


def test_what_follows_convolutions_of_several_images_is_computed_along():
    torch.manual_seed(9)
    module = nn.Sequential(nn.Conv2d(16, 20, 3), nn.SiLU())
    assert _check(module, torch.randn(3, 16, 13, 17)).ir("vector").count("scf.parallel") == 1


@pytest.mark.parametrize("fmt", [None, "MCRS: C0(2:4)"])
@pytest.mark.parametrize("window", [1, 3])
def test_norms_and_residuals_of_several_images_are_computed_along(fmt, window):
    """Pointwise convolutions and stored filters, too, which are a product per image."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(20, 20, window, padding=window // 2), nn.BatchNorm2d(20)

        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)) + x)

    torch.manual_seed(10)
    block = Block()
    block.norm.running_mean.normal_()
    options = {}
    if fmt:
        block.conv.weight.data = pith.prune(block.conv.weight.data, fmt)
        options = {"sparsity": {"conv.weight": fmt}, "path": "sparse"}
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        kernel = _check(block.to(dtype), torch.randn(3, 20, 9, 11, dtype=dtype), tolerance=tolerance, **options)
        made = [line for line in kernel.ir("vector").splitlines() if "memref.alloc()" in line and "3x20x" in line]
        assert len(made) == 1  # the result


def test_softmax_reads_rows_of_a_product():
    """Of a batch of products, what comes before a softmax is part of its loop over rows."""

    class Scores(nn.Module):
        def forward(self, x, y):
            return torch.softmax((x @ y) * 0.125 + 1, -1)

    torch.manual_seed(11)
    _check(Scores(), torch.randn(3, 17, 24), torch.randn(3, 24, 19))


def test_windows_are_packed_from_the_image():
    """No buffer as large as the windows, for several images, groups, and lines and volumes."""
    torch.manual_seed(8)
    for module, shape in (
        (nn.Conv2d(8, 24, 3, padding=1), (2, 8, 19, 21)),
        (nn.Conv2d(8, 24, (2, 5), stride=2, groups=2), (1, 8, 19, 21)),
        (nn.Conv1d(8, 24, 5), (3, 8, 70)),
        (nn.Conv3d(4, 24, 3), (1, 4, 7, 9, 11)),
    ):
        kernel = _check(nn.Sequential(module, nn.ReLU()), torch.randn(*shape))
        window, places = module.weight[0].numel(), module(torch.randn(*shape))[0, 0].numel()
        assert f"{window}x{places}x" not in kernel.ir("vector")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("pad", "options", "size"),
    [
        ((1, 1, 1, 1), {"kernel_size": 3}, (14, 14)),
        ((4, 2, 0, 4), {"kernel_size": (5, 2), "stride": (2, 1), "dilation": 3}, (33, 7)),  # runs end before the image
        ((4, 0, 2, 1), {"kernel_size": 3, "stride": (3, 1), "dilation": (1, 2), "groups": 2}, (40, 19)),
        ((3, 2, 0, 5), {"kernel_size": (1, 7), "stride": (1, 2)}, (9, 33)),
        ((0, 3, 6, 0), {"kernel_size": 4, "stride": 2, "dilation": 2}, (5, 14)),  # places that see nothing but zeros
    ],
)
@pytest.mark.parametrize("images", [1, 3])
def test_zeros_around_an_image_are_not_written(images, pad, options, size, dtype, monkeypatch):
    """Not where panels are packed, as they are of bf16 without dot instructions: tiles are packed from the image."""
    if dtype is torch.bfloat16:
        monkeypatch.setenv("PITH_ISA", "avx2" if ISAS["avx2"].runs_on(cpu_features()) else "emulate:avx2")
    torch.manual_seed(8)
    module = nn.Sequential(nn.ZeroPad2d(pad), nn.Conv2d(6, 10, **options), nn.ReLU()).to(dtype)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 4e-3}[dtype]
    x = torch.randn(images, 6, *size, dtype=torch.float64).to(dtype)
    text = _check(module, x, tolerance=tolerance).ir("vector")
    assert f"x{size[0] + pad[2] + pad[3]}x{size[1] + pad[0] + pad[1]}x" not in text


def test_windows_of_many_images_are_a_product():
    """300 MB of them, none of which is written."""
    torch.manual_seed(3)
    kernel = _check(nn.Conv2d(64, 2, 3, padding=1), torch.randn(8, 64, 128, 128))
    assert "tensor.collapse_shape" in kernel.ir("linalg") and f"{64 * 9}x{128 * 128}x" not in kernel.ir("vector")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [2, 3, 6])
def test_groups(groups, stride):
    torch.manual_seed(1)
    kernel = _check(nn.Conv2d(6, 12, 3, stride, 1, groups=groups), torch.randn(2, 6, 9, 11))
    assert "tensor.collapse_shape" in kernel.ir("linalg")  # unfolded, several filters share the windows of a group


@pytest.mark.parametrize("stride", [1, 2])
def test_a_filter_per_channel(stride):
    torch.manual_seed(4)
    _check(nn.Conv2d(7, 7, (3, 2), stride, 1, groups=7), torch.randn(2, 7, 9, 21))


#: Lines shorter than a vector, some panels, many of them: each ends its own way.
SIZES = ((9, 10), (16, 16), (9, 33), (64, 70))


def _of_any_size(module, channels, dtype=torch.float32, images=1, tolerance=1e-6, **options):
    """Compile for images of any size; compare some."""
    module, dims = module.eval().to(dtype), {2: "h", 3: "w"} | ({0: "n"} if images > 1 else {})
    example = torch.randn(images, channels, 11, 12, dtype=dtype)
    kernel = pith.compile(module, (example,), dynamic_shapes=(dims,), **options)
    for number, size in enumerate(SIZES):
        x = torch.randn(images + number if images > 1 else 1, channels, *size, dtype=dtype)
        with torch.no_grad():
            reference = copy.deepcopy(module).double()(x.double())
        out = kernel(x)
        assert out.shape == reference.shape
        assert ((out.double() - reference).norm() / reference.norm()).item() < tolerance
    return kernel


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(
    "conv",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2},
        {"kernel_size": (2, 5), "stride": (3, 2), "dilation": (2, 1)},
        {"kernel_size": 1},
        {"kernel_size": 4, "stride": 4},
        {"kernel_size": 3, "padding": 1, "groups": 6},
    ],
)
def test_images_of_any_size(conv, images):
    """Nothing is summed element by element, and no matrix of windows is made, unless a stride skips most of a line."""
    torch.manual_seed(11)
    module = nn.Sequential(nn.Conv2d(6, 12, **conv), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 7, 1))
    kernel = _of_any_size(module, 6, images=images)
    assert '"reduction", "reduction", "reduction"' not in kernel.ir("linalg")
    skips = conv.get("stride") == 4
    assert skips or "insert_slice" not in kernel.ir("linalg")


@pytest.mark.parametrize("fmt", ["MCRS: C0(2:4)", "MCRS: C0(*)", "MCRS: R->S->C1->C0(2:4)"])
@pytest.mark.parametrize("images", [1, 2])
def test_stored_filters_meet_images_of_any_size(fmt, images):
    """Few panels are packed by all threads, of many each by the task that multiplies with it."""
    torch.manual_seed(12)
    module = nn.Sequential(nn.Conv2d(12, 150, 3, 2, 1), nn.ReLU())
    module[0].weight.data = pith.prune(module[0].weight.data, fmt if "*" not in fmt else "MCRS: C0(1:3)")
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        options = {"sparsity": {"0.weight": fmt}, "path": "sparse", "tolerance": tolerance}
        assert "panel: " in _of_any_size(module, 12, dtype, images, **options).explain()


def test_an_example_says_nothing_of_how_large_images_are():
    """torch calls another library above 20480 elements, and would keep to the example's side of that."""
    kernel = pith.compile(nn.Conv2d(8, 4, 3), (torch.randn(1, 8, 9, 9),), dynamic_shapes=({2: "h", 3: "w"},))
    assert kernel(torch.randn(1, 8, 80, 90)).shape == (1, 4, 78, 88)
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("groups", [1, 3])
def test_any_number_of_images(groups):
    torch.manual_seed(2)
    module = nn.Conv2d(6, 9, 3, padding=1, groups=groups).eval()
    kernel = pith.compile(module, (torch.randn(2, 6, 8, 8),), dynamic_shapes={"input": {0: "n"}})
    for n in (2, 1, 5):
        x = torch.randn(n, 6, 8, 8)
        reference = copy.deepcopy(module).double()(x.double())
        assert ((kernel(x).double() - reference).norm() / reference.norm()).item() < 1e-6


def test_network():
    torch.manual_seed(3)
    module = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 33, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(33, affine=False), nn.GELU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(33, 10)),
    )
    for layer in module:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    _check(module, torch.randn(2, 3, 19, 15))
    kernel = _check(module[1], torch.randn(2, 16, 5, 7))
    assert "cf.assert" not in kernel.ir("pith")


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate):
    x = torch.linspace(-6, 6, 1001)
    _check(nn.GELU(approximate=approximate), x, tolerance=5e-7)
    _check(nn.GELU(approximate=approximate), x.double(), tolerance=1e-14)
    _check(nn.GELU(approximate=approximate), x.bfloat16(), tolerance=3e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options, size",
    [
        ({"kernel_size": 3, "padding": 1}, (14, 14)),
        ({"kernel_size": 7, "padding": 3}, (7, 7)),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, (29, 37)),
        ({"kernel_size": (5, 3), "padding": (4, 0), "stride": (3, 1), "dilation": (2, 3)}, (23, 50)),
        ({"kernel_size": 2, "stride": 2, "padding": 1, "dilation": 2, "bias": False}, (8, 9)),
        ({"kernel_size": 3}, (3, 3)),
        ({"kernel_size": (1, 4), "stride": (2, 1)}, (5, 4)),
        ({"kernel_size": 3, "stride": 3, "padding": 1}, (13, 16)),
        ({"kernel_size": 9, "padding": 4}, (12, 12)),
    ],
)
def test_channels_by_themselves(options, size, dtype):
    torch.manual_seed(6)
    module = nn.Sequential(nn.Conv2d(6, 6, groups=6, **options), nn.BatchNorm2d(6), nn.Hardtanh(-1.0, 2.0)).to(dtype)
    dict(module.named_buffers())["1.running_mean"].copy_(torch.rand(6))
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    for images in (1, 3):
        _check(module, torch.randn(images, 6, *size, dtype=dtype), tolerance=tolerance)


def test_channels_of_lines_and_of_any_number_of_images():
    torch.manual_seed(7)
    _check(nn.Sequential(nn.Conv1d(5, 5, 4, padding=2, groups=5), nn.SiLU()), torch.randn(2, 5, 37))
    module = nn.Conv2d(6, 6, 3, padding=1, groups=6).eval()
    kernel = pith.compile(module, (torch.randn(2, 6, 8, 8),), dynamic_shapes={"input": {0: "n"}})
    for n in (1, 4):
        x = torch.randn(n, 6, 8, 8)
        reference = copy.deepcopy(module).double()(x.double())
        assert ((kernel(x).double() - reference).norm() / reference.norm()).item() < 1e-6


def test_channels_with_a_residual_are_one_loop():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1, groups=8)

        def forward(self, x):
            return torch.relu(self.conv(x) + x)

    torch.manual_seed(8)
    kernel = _check(Block(), torch.randn(2, 8, 19, 21))
    text = kernel.ir("vector")
    assert text.count("scf.parallel") == 1 and "memref.copy" not in text


def test_a_filter_per_channel_behind_a_product():
    """What makes the image is replaced while the convolution waits to be lowered: that ended the process."""

    class MixedFeedForward(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(32, 64), nn.Linear(64, 32)
            self.conv = nn.Conv2d(64, 64, 3, padding=1, groups=64)

        def forward(self, x):
            image = self.first(x).transpose(1, 2).view(1, 64, 16, 16)
            return self.second(torch.nn.functional.gelu(self.conv(image).flatten(2).transpose(1, 2)))

    _check(nn.Sequential(MixedFeedForward(), MixedFeedForward()), torch.randn(1, 256, 32))
