"""GPU kernels called as on a GPU: started through the driver, executed by the emulator, checked against float64."""

from __future__ import annotations

import gc

import gpu_programs
import numpy as np
import pith
import pytest
from cuda_stand_in import standing_in
from emulated_device import emulating
from pith import dialect
from pith.formats.attribute import format_attribute
from pith.runtime import cuda
from relative_error import error_of

TOLERANCE = {"float32": 2e-6, "float16": 1e-3}


@pytest.fixture
def device():
    with standing_in() as stand_in:
        yield stand_in


def compiled(source: str, device) -> pith.GpuKernel:
    """The kernel for sm_90; what it launches on the stand-in runs under emulation."""
    kernel = pith.compile(source, target="sm_90")
    emulated = pith.compile(source, target="emulate:sm_90")
    assert [launch.kernel for launch in kernel.launches] == [launch.kernel for launch in emulated.launches]
    device.kernels = emulating(kernel.program, emulated.emulator)
    return kernel


def program(make) -> str:
    with dialect.make_context():
        return make()


@pytest.mark.parametrize("element", ["f32", "f16"])
@pytest.mark.parametrize("columns", [1, 13, 70])
def test_sparse_weights(device, element, columns):
    text, shape = "C1(3:4)->C0(2:4)", (33, 48)
    kernel = compiled(program(lambda: gpu_programs.hss_matmul(text, shape, element=element)), device)
    rng = np.random.default_rng(columns)
    kind = {"f32": np.float32, "f16": np.float16}[element]
    w = pith.prune(rng.standard_normal(shape).astype(kind), text)
    x = rng.standard_normal((48, columns)).astype(kind)
    out = kernel(pith.compress(w, text), cuda.to_device(x))
    assert isinstance(out, cuda.DeviceArray) and out.shape == (33, columns)
    assert error_of(out.numpy(), w.astype("f8") @ x) < TOLERANCE["float32"]


@pytest.mark.parametrize("axis", "mnk")
def test_patterns(device, axis):
    m, n, k = sizes = 45, 37, 50
    kernel = compiled(program(lambda: gpu_programs.pit_matmul(axis, tile=(16, 16, 16), granularity=2)), device)
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((m, k)).astype("f4"), rng.standard_normal((k, n)).astype("f4")
    c = rng.standard_normal((m, n)).astype("f4")
    size = dict(zip("mnk", sizes))[axis]
    mask = np.repeat(rng.random(-(-size // 2)) < 0.5, 2)[:size]
    keep = mask.astype("f8")
    pattern = pith.Pattern.from_mask(mask, 2)
    before = c.copy()
    on_device = [cuda.to_device(x) for x in (a, b, c)]
    out = kernel(pattern, *on_device).numpy()
    product = (a.astype("f8") * keep) @ b if axis == "k" else a.astype("f8") @ b
    scale = {"m": keep[:, None], "n": keep[None], "k": 1.0}[axis]
    assert error_of(out, c + product * scale) < TOLERANCE["float32"]
    assert np.array_equal(on_device[2].numpy(), before), "arguments are the caller's"


SPMM = """#csr = {csr}
func.func @spmm(%a: tensor<?x?xf32, #csr>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %m = tensor.dim %a, %zero : tensor<?x?xf32, #csr>
  %n = tensor.dim %b, %one : tensor<?x?xf32>
  %z = arith.constant 0.0 : f32
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %r = linalg.matmul ins(%a, %b : tensor<?x?xf32, #csr>, tensor<?x?xf32>) outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}}"""


def test_sizes_of_a_sparse_tensor_are_numbers(device):
    """Nothing but the call says how large a dynamic sparse matrix is; grids and temporaries follow from it."""
    kernel = compiled(SPMM.format(csr=format_attribute(pith.CSR)), device)
    rng = np.random.default_rng(1)
    for rows, inner, columns in ((37, 29, 11), (5, 3, 130), (37, 29, 11)):
        dense = (rng.standard_normal((rows, inner)) * (rng.random((rows, inner)) < 0.3)).astype(np.float32)
        b = rng.standard_normal((inner, columns)).astype(np.float32)
        out = kernel(pith.compress(dense, "csr"), cuda.to_device(b))
        assert error_of(out.numpy(), dense.astype("f8") @ b) < TOLERANCE["float32"]


DETECT = """func.func @rows(%x: tensor<?x?xf32>) -> !pith.pattern<[-1], [2]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 2>, threshold = 0.0 : f64}
    : (tensor<?x?xf32>) -> !pith.pattern<[-1], [2]>
  return %p : !pith.pattern<[-1], [2]>
}"""


def test_a_pattern_found_on_the_device_stays_there(device):
    """The list that one kernel returns is another's pattern; the host copies and waits for nothing."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((45, 50)).astype("f4"), rng.standard_normal((50, 37)).astype("f4")
    a[(np.arange(45) // 2) % 3 != 0] = 0
    x, y, z = (cuda.to_device(v) for v in (a, b, np.zeros((45, 37), np.float32)))
    detect = compiled(DETECT, device)
    found = detect(x)
    product = compiled(program(lambda: gpu_programs.pit_matmul("m", tile=(16, 16, 16), granularity=2)), device)
    device.calls.clear()
    out = product(found, x, y, z)
    assert not {"cuStreamSynchronize", "cuMemcpyDtoH", "cuMemcpyHtoDAsync"} & set(device.calls)
    assert error_of(out.numpy(), a.astype("f8") @ b) < TOLERANCE["float32"]
    listed = found.numpy()
    assert sorted(listed[1 : 1 + listed[0]]) == list(range(0, 23, 3))


def test_a_graph_reads_its_arguments_anew(device):
    kernel = compiled(program(lambda: gpu_programs.hss_matmul("C0(2:4)", (20, 16))), device)
    rng = np.random.default_rng(0)
    w = pith.prune(rng.standard_normal((20, 16)).astype("f4"), "C0(2:4)")
    x = cuda.to_device(np.zeros((16, 9), np.float32))
    graph = kernel.capture(pith.compress(w, "C0(2:4)"), x)
    for _ in range(2):
        new = rng.standard_normal((16, 9)).astype("f4")
        device.cuMemcpyHtoDAsync(x.memory.address, new.ctypes.data, new.nbytes, 0)
        assert error_of(graph.replay().numpy(), w.astype("f8") @ new) < TOLERANCE["float32"]
    del graph, x
    gc.collect()
    assert not device.live


def test_a_module_of_pytorch(device):
    """Sparse weights, biases, an activation and a residual; weights go to the device with the first call."""
    import torch

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = torch.nn.Linear(32, 64), torch.nn.Linear(64, 32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.down(torch.relu(self.up(x)))

    torch.manual_seed(0)
    block = Block().eval()
    for layer in (block.up, block.down):
        layer.weight.data = pith.prune(layer.weight.data, "C0(2:4)")
    example = (torch.randn(7, 32),)
    kernel, emulated = (
        pith.compile(block, example, target=t, sparsity={"*.weight": "C0(2:4)"}) for t in ("sm_90", "emulate:sm_90")
    )
    device.kernels = emulating(kernel.kernel.program, emulated.kernel.emulator)
    x = torch.randn(7, 32)
    reference = block.double()(x.double()).detach().numpy()
    assert error_of(emulated(x).detach().numpy(), reference) < TOLERANCE["float32"]
    on_device = cuda.to_device(x)
    for _ in range(2):
        assert error_of(kernel.kernel(on_device).numpy(), reference) < TOLERANCE["float32"]
    gc.collect()
    # The input; biases, values and packed coordinates of two layers. Temporaries and results went with their calls.
    assert len(device.live) == 1 + 2 * 3
    assert kernel.weight_bytes == 4 * (64 + 32) + 2 * (4 * 32 * 64 // 2 + 256)

    graph = kernel.kernel.capture(on_device)
    assert error_of(graph.replay().numpy(), reference) < TOLERANCE["float32"]
    with pytest.raises(pith.DeviceError, match=r"argument .* expected a tensor on a GPU, got one on cpu"):
        kernel.capture(x)
    with pytest.raises(pith.UnsupportedError, match="a CPU has no CUDA graphs"):
        pith.compile(torch.nn.Linear(4, 4).eval(), (torch.randn(2, 4),)).capture(torch.randn(2, 4))
