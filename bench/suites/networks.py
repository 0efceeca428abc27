"""Whole convolutional networks, f32, dense and pruned to 2:4, against torch."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pith
import torch
from torch import nn

from bench.harness import Contest
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

STORED, DENSE, TORCH = "pith 2:4", "pith dense", "torch"

#: What filters keep that have groups of channels to choose from; others stay dense.
FORMAT = "MCRS: C0(2:4)"

#: Images that are computed at once.
BATCHES = (1, 8)

#: Seconds that timing a network should take.
SECONDS = 6.0

NOTES = (
    "Inference of networks as they come from PyTorch, random weights pruned to 2:4 where a filter's channels divide by "
    "16. All contestants compute the same weights: stored by pith, unpacked by pith, by torch op by op. Times in ms, "
    "medians over the rounds; `x` is the speed-up over torch.",
    "ResNet-50 and MobileNetV2 on images of 224x224, a U-Net of 32 to 256 channels on 128x128.",
)


class Unit(nn.Sequential):
    """A convolution, its norm and its activation."""

    def __init__(self, channels: int, filters: int, window: int, stride: int = 1, groups: int = 1, act: Any = nn.ReLU):
        conv = nn.Conv2d(channels, filters, window, stride, window // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(filters), *([act()] if act else []))


class Bottleneck(nn.Module):
    """A block of ResNet-50."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        inner = filters // 4
        last = Unit(inner, filters, 1, act=None)
        self.body = nn.Sequential(Unit(channels, inner, 1), Unit(inner, inner, 3, stride), last)
        self.side = nn.Identity() if channels == filters else Unit(channels, filters, 1, stride, act=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's own result, added to what it was given."""
        return torch.relu(self.body(x) + self.side(x))


class Inverted(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, channels: int, filters: int, stride: int, expand: int):
        super().__init__()
        inner = channels * expand
        first = [] if expand == 1 else [Unit(channels, inner, 1, act=nn.ReLU6)]
        depthwise = Unit(inner, inner, 3, stride, inner, nn.ReLU6)
        self.body = nn.Sequential(*first, depthwise, Unit(inner, filters, 1, act=None))
        self.adds = stride == 1 and channels == filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's own result, added to what it was given where sizes agree."""
        return x + self.body(x) if self.adds else self.body(x)


class UNet(nn.Module):
    """Down and up again, each level with what it was on the way down."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256)):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.first, self.last = _twice(3, widths[0]), nn.Conv2d(widths[0], 2, 1)
        self.down = nn.ModuleList(_twice(*pair) for pair in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(wide, thin, 2, 2) for thin, wide in reversed(pairs))
        self.joined = nn.ModuleList(_twice(2 * thin, thin) for thin, _ in reversed(pairs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two classes per pixel."""
        x, kept = self.first(x), []
        for level in self.down:
            kept.append(x)
            x = level(nn.functional.max_pool2d(x, 2))
        for up, joined in zip(self.up, self.joined):
            x = joined(torch.cat([kept.pop(), up(x)], 1))
        return self.last(x)


def _twice(channels: int, filters: int) -> nn.Module:
    return nn.Sequential(Unit(channels, filters, 3), Unit(filters, filters, 3))


def resnet50() -> nn.Module:
    """ResNet-50: 3, 4, 6 and 3 blocks."""
    layers: list[nn.Module] = [Unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for level, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            layers.append(Bottleneck(channels, 256 << level, 2 if level and not block else 1))
            channels = 256 << level
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def mobilenet() -> nn.Module:
    """MobileNetV2: expansion, filters, blocks and the first one's stride per level."""
    levels = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    layers: list[nn.Module] = [Unit(3, 32, 3, 2, act=nn.ReLU6)]
    channels = 32
    for expand, filters, blocks, stride in levels:
        for block in range(blocks):
            layers.append(Inverted(channels, filters, 1 if block else stride, expand))
            channels = filters
    end = (Unit(channels, 1280, 1, act=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
    return nn.Sequential(*layers, *end)


@dataclasses.dataclass(frozen=True)
class Network:
    """What is run: how it is made, and its images' height and width."""

    make: Callable[[], nn.Module]
    size: int


NETWORKS = {"ResNet-50": Network(resnet50, 224), "MobileNetV2": Network(mobilenet, 224), "U-Net": Network(UNet, 128)}


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("networks", "Convolutional networks, f32", notes=list(NOTES))
    sweep = Sweep(options, SECONDS)
    sweep.run(_contests(("U-Net",) if options.quick else NETWORKS, progress), report, progress)
    report.tables.insert(0, _summary(sweep))
    for threads in options.threads:
        slowest = min((o.speedup(DENSE) for o in sweep.select(threads)), default=None)
        text = f"pith's dense kernels over torch, {plural(threads)}, slowest network"
        report.requirements.append(Requirement(text, slowest, 0.95, "x", at_least=True))
    return report


def _contests(names: Iterable[str], progress: Progress) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for name in names:
        torch.manual_seed(0)
        model = NETWORKS[name].make().eval()
        sparsity = _prune(model)
        for batch in BATCHES:
            progress(f"networks: compiling {name}, images at once: {batch}")
            x = torch.randn(batch, 3, NETWORKS[name].size, NETWORKS[name].size)
            yield _contest(f"{name}, batch {batch}", model, x, sparsity), {"network": name, "batch": batch}


def _prune(model: nn.Module) -> dict[str, str]:
    """Prune filters in place; the formats of their weights. Norms get statistics that are not trivial."""
    sparsity = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module.in_channels % 16 == 0:
            module.weight.data = pith.prune(module.weight.data, FORMAT)
            sparsity[f"{name}.weight"] = FORMAT
    return sparsity


def _contest(name: str, model: nn.Module, x: torch.Tensor, sparsity: dict[str, str]) -> Contest:
    with torch.no_grad():
        reference = copy.deepcopy(model).double()(x.double()).numpy()
    dense, stored = pith.compile(model, (x,)), pith.compile(model, (x,), sparsity=sparsity)

    def library() -> torch.Tensor:
        with torch.no_grad():
            return model(x)

    calls = {STORED: lambda: stored(x), DENSE: lambda: dense(x), TORCH: library}
    return Contest(name, calls, TORCH, reference, tolerance=1e-4)


def _summary(sweep: Sweep) -> Table:
    rows = [
        (
            plural(threads),
            facts["network"],
            str(facts["batch"]),
            *(f"{o.speedup(name):.2f}" for name in (STORED, DENSE)),
        )
        for threads, found in sweep.found.items()
        for facts, o in found
    ]
    return Table("Speed-ups over torch", ("threads", "network", "images", STORED, DENSE), tuple(rows))
