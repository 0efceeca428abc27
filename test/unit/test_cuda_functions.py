"""Functions of the API on PyTorch tensors of a GPU: they run there, on PyTorch's stream, and give tensors of it."""

from __future__ import annotations

import sys

import numpy as np
import pith
import pytest
import torch
from cuda_stand_in import Gpu, StandIn, standing_in
from pith.functional.dynamic import device as dynamic_device
from pith.functional.einsum import device as einsum_device
from pith.functional.linear import device as linear_device
from pith.functional.matmul import device as matmul_device
from pith.functional.sddmm import device as sddmm_device
from pith.runtime import cuda
from pith.torch.autograd import linear as autograd


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

    def made(*shape, device=None, **options):
        tensor = empty(*shape, **options)
        return tensor if device is None or device.type == "cpu" else tensor.as_subclass(OnGpu)

    # Their kernels are loaded by another stand-in.
    for module in (dynamic_device, einsum_device, linear_device, matmul_device, sddmm_device):
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
    "einsum of a transposed operand": lambda x, y: pith.einsum(
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


def test_transposed_operands_are_not_copied(driver: StandIn):
    x, y = on_gpu(32, 64), on_gpu(64, 16)
    pith.einsum("mk,nk->mn", x, y.t(), where={"m": ROWS})
    words = {word for launch in driver.launched for word in launch.values if isinstance(word, int)}
    assert {x.data_ptr(), y.data_ptr()} <= words


def test_sampled_products_stay_on_the_device(driver: StandIn):
    pattern = pith.compress(np.eye(32, 16, dtype=np.float16), "csr")
    made = pith.sddmm(on_gpu(32, 64), on_gpu(16, 64).t(), pattern)
    assert isinstance(made, cuda.DeviceSparse) and isinstance(made.values, OnGpu)
    assert made.tensor is pattern and tuple(made.values.shape) == (16,)
    assert pith.linear(on_gpu(3, 16), made).shape == (3, 32)  # what was sampled is a weight
    words = {word for launch in driver.launched[1:] for word in launch.values}
    assert made.values.data_ptr() in words


def test_sparse_layers_are_trained_where_they_are(driver: StandIn):
    layer = pith.torch.SparseLinear("C0(2:4)", 64, 16, dtype=torch.float16)
    host = layer.weight
    for held in (layer._parameters, layer._buffers):
        for name, tensor in held.items():
            held[name] = tensor.detach().as_subclass(OnGpu).requires_grad_(tensor.requires_grad)
    assert tuple(layer(on_gpu(3, 5, 64).requires_grad_()).shape) == (3, 5, 16)
    before = len(driver.launched)
    with torch.no_grad():  # as in the backward pass, where PyTorch makes plain tensors of these
        dx = autograd._input_gradient(on_gpu(15, 16), layer.pattern, layer.values)
        dvalues = pith.sddmm(on_gpu(15, 16).T, on_gpu(15, 64), layer.pattern).values
    assert len(driver.launched) >= before + 2
    assert tuple(dx.shape) == (15, 64) and dvalues.shape == layer.values.shape
    words = {word for launch in driver.launched for word in launch.values}
    assert layer.values.data_ptr() in words
    assert np.array_equal(layer.pattern.to_dense(), host.numpy())


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
