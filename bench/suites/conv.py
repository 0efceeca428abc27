"""Convolutions of images with pruned filters, f32, against those of torch: layers of ResNets, and a network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from torch import nn

from bench.harness import Contest
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Channels, filters, height and width, window, stride: one image through layers of ResNet-18 and a pointwise one.
LAYERS = (
    (64, 64, 56, 3, 1),
    (64, 128, 56, 3, 2),
    (128, 128, 28, 3, 1),
    (256, 256, 14, 3, 1),
    (512, 512, 7, 3, 1),
    (256, 512, 14, 1, 1),
)

#: What is asked of pruned filters, over torch's dense convolution; and speed-ups below which a case is held again. Two
#: threads on a machine that others use: 128 channels of 28x28 in two ranks were found at 0.82, and at 2.11 soon after
#: (Zen 4, 2026-11).
LIMIT, DOUBTED = 0.95, 1.0

#: What is kept of the filters: two of four channels, a quarter of them in two ranks, half of the channels of all.
FORMATS = {"2:4": "MCRS: C0(2:4)", "C1(2:4)->C0(2:4)": "MCRS: C1(2:4)->C0(2:4)"}
CHANNELS = "half of the channels"

#: Dense layers that are no plain product of one image: arguments of the layer, images, height and width, type.
UNPRUNED: dict[str, tuple[tuple[int, ...], int, int, torch.dtype]] = {
    "dense": ((128, 128, 3, 1, 1), 1, 28, torch.float32),
    "dense, 8 images": ((128, 128, 3, 1, 1), 8, 28, torch.float32),
    "dense, 32 groups": ((128, 128, 3, 1, 1, 1, 32), 1, 56, torch.float32),
    "depthwise, 3x3": ((144, 144, 3, 1, 1, 1, 144), 1, 56, torch.float32),
    "depthwise, 7x7": ((96, 96, 7, 1, 3, 1, 96), 1, 56, torch.float32),
    "dense, bf16": ((128, 128, 3, 1, 1), 1, 28, torch.bfloat16),
}

PITH, OWN, DENSE = "pith", "pith dense", "torch dense"

NOTES = (
    "relu(conv2d(x, w) + b) of one image, and two basic blocks of ResNet-18 with batch norms on 28x28 images. Times in "
    "ms, medians over the rounds; `x` is the speed-up over torch's dense convolution of the same filters.",
    "Dense layers are pith's kernels against torch's: several images, groups, a filter per channel, bf16.",
    "Channels that are dropped are known at run time only (`pith.conv2d(channels=)`); torch convolves all of them.",
    f"Cases below {DOUBTED} of torch are timed again, with eight times the rounds, and count as they were found then.",
)


class Block(nn.Module):
    """A basic block of ResNet-18 without downsampling."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, 1, 1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions and what they are added to."""
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("conv", "Convolutions, f32", notes=list(NOTES))
    sweep = Sweep(options, doubted=lambda outcome, _: outcome.speedup(PITH) < DOUBTED)
    sweep.run(_contests(LAYERS[3:4] if options.quick else LAYERS), report, progress)
    report.tables.insert(0, _summary(sweep))
    report.requirements += [_requirement(sweep, threads) for threads in options.threads]
    return report


def _contests(layers: Any) -> Iterator[tuple[Contest, dict[str, Any]]]:
    torch.manual_seed(0)
    for layer in layers:
        channels, filters, size, window, stride = layer
        for name, fmt in FORMATS.items():
            module = nn.Sequential(nn.Conv2d(channels, filters, window, stride, window // 2), nn.ReLU()).eval()
            module[0].weight.data = pith.prune(module[0].weight.data, fmt)
            x = torch.randn(1, channels, size, size)
            yield _contest(f"{layer}, {name}", module, x, {"0.weight": fmt}), {"kind": name}
        yield _dropping(layer)
    for name, (arguments, images, size, dtype) in UNPRUNED.items():
        module = nn.Sequential(nn.Conv2d(*arguments), nn.ReLU()).eval().to(dtype)
        x = torch.randn(images, arguments[0], size, size).to(dtype)
        yield _contest(f"{arguments}, {name}", module, x, {}, 1e-2 if dtype.itemsize == 2 else 1e-4), {"kind": name}
    for name, fmt in FORMATS.items():
        network = nn.Sequential(Block(128), Block(128)).eval()
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.data = pith.prune(parameter.data, fmt)
        x = torch.randn(1, 128, 28, 28)
        yield _contest(f"two blocks, {name}", network, x, {"*.conv*.weight": fmt}), {"kind": f"two blocks, {name}"}


def _contest(
    name: str, module: nn.Module, x: torch.Tensor, sparsity: dict[str, str], tolerance: float = 1e-4
) -> Contest:
    """A module with pruned filters: stored, dense, and torch's; without pruned ones ``pith`` is the dense one."""
    with torch.no_grad():
        reference = copy.deepcopy(module).double()(x.double()).numpy()
    dense = pith.compile(module, (x,))
    stored = pith.compile(module, (x,), sparsity=sparsity) if sparsity else dense

    def library() -> torch.Tensor:
        with torch.no_grad():
            return module(x)

    calls: dict[str, Callable[[], Any]] = {PITH: lambda: stored(x), DENSE: library}
    if sparsity:
        calls[OWN] = lambda: dense(x)
    return Contest(name, calls, DENSE, reference, tolerance=tolerance)


def _dropping(layer: tuple[int, ...]) -> tuple[Contest, dict[str, Any]]:
    """A layer of which every other channel is zero."""
    channels, filters, size, window, stride = layer
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, channels, size, size), np.float32)
    w = rng.standard_normal((filters, channels, window, window), np.float32)
    alive = pith.Pattern.from_indices(np.arange(0, channels, 2), channels)
    x[:, 1::2] = 0
    options: dict[str, Any] = {"stride": stride, "padding": window // 2}
    images, weights = torch.from_numpy(x), torch.from_numpy(w)
    reference = torch.nn.functional.conv2d(images.double(), weights.double(), **options).numpy()
    calls: dict[str, Callable[[], Any]] = {
        PITH: lambda: pith.conv2d(x, w, channels=alive, **options),
        DENSE: lambda: torch.nn.functional.conv2d(images, weights, **options),
    }
    return Contest(f"{layer}, {CHANNELS}", calls, DENSE, reference, tolerance=1e-4), {"kind": CHANNELS}


def _summary(sweep: Sweep) -> Table:
    """Geometric means over the layers."""
    rows = []
    for threads in sweep.found:
        for kind in (*FORMATS, CHANNELS, *UNPRUNED, *(f"two blocks, {name}" for name in FORMATS)):
            if found := sweep.select(threads, kind=kind):
                (mean,) = sweep.means(threads, ((PITH, DENSE),), kind=kind)
                worst = min(o.speedup(PITH, DENSE) for o in found)
                rows.append((plural(threads), kind, f"{mean:.2f}", f"{worst:.2f}"))
    columns = ("threads", "filters", f"{PITH} / {DENSE}", "worst case")
    return Table("Speed-ups, geometric means over layers", columns, tuple(rows))


def _requirement(sweep: Sweep, threads: int) -> Requirement:
    text = f"pruned filters over torch's dense convolution, {plural(threads)}, worst case"
    ratios = [o.speedup(PITH, DENSE) for kind in FORMATS for o in sweep.select(threads, kind=kind)]
    return Requirement(text, min(ratios) if ratios else None, LIMIT, "x", at_least=True)
