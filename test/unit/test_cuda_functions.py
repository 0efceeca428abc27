"""Functions of the API on PyTorch tensors of a GPU: they run there, on PyTorch's stream, and give tensors of it."""

from __future__ import annotations

import sys

import numpy as np
import pith
import pytest
import torch
from cuda_stand_in import Gpu, StandIn, standing_in
from pith.compiler import dynamic_device, einsum_device, linear_device, matmul_device
from pith.runtime import cuda


class OnGpu(torch.Tensor):
    """A tensor as PyTorch has it where there is a GPU; its memory is the stand-in's."""

    is_cuda = True  # type: ignore[assignment]
    device = torch.device("cuda", 0)  # type: ignore[assignment]


OnGpu.__module__ = torch.Tensor.__module__  # by which PyTorch's own are recognised


def on_gpu(*shape: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.ones(shape, dtype=dtype).as_subclass(OnGpu)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch):
    empty = torch.empty

    def made(shape, dtype, device):
        return empty(shape, dtype=dtype).as_subclass(OnGpu)

    # Their kernels are loaded by another stand-in.
    for module in (dynamic_device, einsum_device, linear_device, matmul_device):
        module._kernel.cache_clear()
    with standing_in(Gpu(capability=(8, 0))) as stand_in:
        monkeypatch.setitem(sys.modules, "torch", torch)
        monkeypatch.setattr(torch, "empty", made)
        monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda ordinal: 77 + ordinal, raising=False)
        yield stand_in


ROWS = pith.Pattern.from_indices([1, 5], sizes=32)

SPARSE = pith.compress(np.eye(16, 64, dtype=np.float16), "C0(2:4)")

CALLS = {
    "linear": lambda x, y: pith.linear(x, SPARSE, on_gpu(16), "relu", on_gpu(32, 16)),
    "linear with a dense weight": lambda x, y: pith.linear(x, y.t()),
    "einsum": lambda x, y: pith.einsum("mk,kn->mn", x, y, where={"m": ROWS}),
    "einsum of a turned operand": lambda x, y: pith.einsum(
        "mk,nk->mn", x, y.t(), where={"k": pith.Pattern.from_indices([3], sizes=64)}
    ),
    "einsum, accumulated": lambda x, y: pith.einsum(
        "mk,kn->mn", x, y, where={"m": ROWS}, out=on_gpu(32, 16), accumulate=True
    ),
    "dynamic": lambda x, y: pith.matmul(pith.dynamic(x), y),
    "dynamic on the right": lambda x, y: pith.matmul(x, pith.dynamic(y, granularity="rows")),
    "sparse": lambda x, y: pith.matmul(pith.compress(np.eye(32, dtype=np.float16), "csr"), x),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_run_where_tensors_are(name: str, driver: StandIn):
    out = CALLS[name](on_gpu(32, 64), on_gpu(64, 16))
    assert isinstance(out, OnGpu) and out.dtype == torch.float16
    assert tuple(out.shape) == ((32, 64) if name == "sparse" else (32, 16))
    assert driver.launched and {launch.stream for launch in driver.launched} == {77}
    assert out.data_ptr() in {word for launch in driver.launched for word in launch.values if isinstance(word, int)}


def test_turned_operands_are_not_copied(driver: StandIn):
    x, y = on_gpu(32, 64), on_gpu(64, 16)
    pith.einsum("mk,nk->mn", x, y.t(), where={"m": ROWS})
    words = {word for launch in driver.launched for word in launch.values if isinstance(word, int)}
    assert {x.data_ptr(), y.data_ptr()} <= words


@pytest.mark.parametrize(
    "call",
    [
        lambda x: pith.einsum("mk,kn->mn", x, torch.ones(64, 8).half()),
        lambda x: pith.matmul(pith.dynamic(x), torch.ones(64, 8).half()),
    ],
)
def test_operands_on_different_devices_are_refused(call, driver: StandIn):
    with pytest.raises(pith.DeviceError, match="on one device, got cpu and cuda:0"):
        call(on_gpu(32, 64))
    assert not driver.launched and cuda.devices()
