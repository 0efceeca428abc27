"""What may be passed to a GPU kernel, on which stream it runs, and what is refused with which words."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pith
import pytest
import torch
from cuda_stand_in import Gpu, StandIn, Status, ptx_for, standing_in
from pith.compiler.params import Param
from pith.programs import Launch, Operand, Program, const, dim
from pith.runtime import cuda
from pith.runtime.cuda import dlpack
from pith.runtime.cuda.resident import pattern_list, resident
from test_cuda_launch import ONE, arrays, dense, matrix, product, product_program


@pytest.fixture
def driver():
    with standing_in() as stand_in:
        yield stand_in


class Interface:
    """An array of another library, known by ``__cuda_array_interface__`` only."""

    def __init__(self, array: cuda.DeviceArray, **changes: Any):
        self.kept = array
        plain = {k: v for k, v in array.__cuda_array_interface__.items() if k != "stream"}
        self.interface = {**plain, **changes}

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface


class Capsule:
    """An array of another library, known by DLPack only."""

    def __init__(self, array: cuda.DeviceArray):
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__


def torch_on_gpu(array: cuda.DeviceArray, requires_grad: bool = False) -> torch.Tensor:
    """A tensor as PyTorch has it where there is a GPU: its device is cuda, its address the array's."""

    class OnGpu(torch.Tensor):
        device = torch.device("cuda", array.device.ordinal)  # type: ignore[assignment]
        data_ptr = staticmethod(lambda: array.memory.address)  # type: ignore[assignment]

    dtype = getattr(torch, np.dtype(array.dtype).name)
    return torch.zeros(array.shape, dtype=dtype, requires_grad=requires_grad).as_subclass(OnGpu)


@pytest.fixture
def torch_cuda(monkeypatch: pytest.MonkeyPatch, driver: StandIn):
    """What a launcher asks of PyTorch, on this machine's PyTorch without CUDA; the results it makes."""
    made = []

    def empty(shape: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        return torch_on_gpu(cuda.to_device(np.zeros(shape, str(dtype).removeprefix("torch.")), device.index))

    def empty_like(alike: torch.Tensor) -> torch.Tensor:
        assert alike.untyped_storage().nbytes() == 0  # what results are like has no memory
        made.append(cuda.to_device(np.zeros(alike.shape, str(alike.dtype).removeprefix("torch.")), alike.device.index))
        return torch_on_gpu(made[-1])

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch, "empty_like", empty_like)
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda ordinal: 77 + ordinal, raising=False)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return made


def test_arrays_of_other_libraries_are_taken_where_they_are(driver: StandIn):
    a, b = arrays((70, 30), (30, 5))
    for wrapped in ((Interface(a), Interface(b)), (Capsule(a), Capsule(b)), (Interface(a), b)):
        product()(wrapped)
        assert driver.launched[-2].values[0] == a.memory.address
        assert driver.launched[-1].values[7] == b.memory.address
    gc.collect()
    assert not dlpack._EXPORTED


def test_torch_gets_torch_and_its_own_stream(torch_cuda: list, driver: StandIn):
    a, b = map(torch_on_gpu, arrays((70, 30), (30, 5)))
    out = product()([a, b])
    assert isinstance(out, torch.Tensor) and out.shape == (70, 5) and out.data_ptr() == torch_cuda[0].memory.address
    assert {launch.stream for launch in driver.launched} == {77}


def test_torch_allocates_for_an_explicit_stream(torch_cuda: list, driver: StandIn, monkeypatch):
    """Results come from the allocator's memory for that stream: it may be used there again only."""
    entered: list[Any] = []

    @contextlib.contextmanager
    def current(stream: Any):
        entered.append((stream, len(torch_cuda)))
        yield
        entered.append(len(torch_cuda))

    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle, device: (handle, device))
    a, b = map(torch_on_gpu, arrays((70, 30), (30, 5)))
    product()([a, b], types.SimpleNamespace(cuda_stream=99))
    assert entered == [((99, 0), 0), 1]
    assert {launch.stream for launch in driver.launched} == {99}


def test_torch_out_of_memory_is_pith_s_too(torch_cuda: list, driver: StandIn, monkeypatch):
    a, b = map(torch_on_gpu, arrays((70, 30), (30, 5)))

    def refuse(*_: Any, **__: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")

    for name in ("empty_like", "empty"):
        monkeypatch.setattr(torch, name, refuse)
        refused(pith.GpuMemoryError, r"no memory for a result of shape \(70, 5\): tried to allocate", a, b)


def test_tensors_that_need_gradients_are_refused(torch_cuda: list, monkeypatch):
    run = product()
    made = arrays((70, 30), (30, 5))
    a, b = torch_on_gpu(made[0], requires_grad=True), made[1]
    with torch.no_grad():
        assert run.prepare([a, b])[2].gradients
    with pytest.raises(pith.ArgumentError, match=r"argument 'a': the tensor requires a gradient"):
        run([a, b])


def test_cupy_gets_cupy_and_its_own_stream(driver: StandIn, monkeypatch):
    class Array:
        def __init__(self, array: cuda.DeviceArray):
            self.kept, self.shape, self.dtype = array, array.shape, array.dtype
            self.data = types.SimpleNamespace(ptr=array.memory.address)
            self.device = types.SimpleNamespace(id=array.device.ordinal)
            self.flags = types.SimpleNamespace(c_contiguous=True)

    Array.__module__ = "cupy"
    cupy: Any = types.ModuleType("cupy")
    cupy.empty = lambda shape, dtype: Array(cuda.to_device(np.zeros(shape, dtype)))
    streams = types.SimpleNamespace(get_current_stream=lambda: types.SimpleNamespace(ptr=55))
    cupy.cuda = types.SimpleNamespace(Device=lambda _: contextlib.nullcontext(), **vars(streams))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    out = product()([Array(a) for a in arrays((70, 30), (30, 5))])
    assert isinstance(out, Array) and out.shape == (70, 5)
    assert {launch.stream for launch in driver.launched} == {55}


@pytest.mark.parametrize(
    ("stream", "handle"),
    [
        (42, 42),
        (types.SimpleNamespace(cuda_stream=43), 43),
        (types.SimpleNamespace(ptr=44), 44),
        (types.SimpleNamespace(__cuda_stream__=lambda: (0, 45)), 45),
    ],
)
def test_an_explicit_stream(driver: StandIn, stream: Any, handle: int):
    product()(arrays((70, 30), (30, 5)), stream)
    assert {launch.stream for launch in driver.launched} == {handle}


def test_what_is_no_stream_is_refused(driver: StandIn):
    with pytest.raises(pith.ArgumentError, match="expects a CUDA stream, got str"):
        product()(arrays((70, 30), (30, 5)), "fast")


def test_a_stream_waits_for_those_its_arguments_come_from(driver: StandIn):
    a, b = arrays((70, 30), (30, 5))
    driver.calls.clear()
    product()([Interface(a, stream=9), Interface(b, stream=None)], 9)
    assert "cuStreamWaitEvent" not in driver.calls
    product()([Interface(a, stream=9), Interface(b, stream=9)], 5)
    assert driver.calls.count("cuStreamWaitEvent") == 1 and driver.calls.count("cuEventDestroy") == 1


def test_copies_are_complete_and_results_are_waited_for(driver: StandIn):
    a, b = arrays((70, 30), (30, 5))
    run = product()
    driver.calls.clear()
    first = run([a, b], 8)
    assert "cuStreamWaitEvent" not in driver.calls and first.stream == 8
    assert (a.__cuda_array_interface__["stream"], first.__cuda_array_interface__["stream"]) == (None, 8)
    run([cuda.to_device(np.ones((3, 70), np.float32)), first], 8)
    assert "cuStreamWaitEvent" not in driver.calls
    run([cuda.to_device(np.ones((3, 70), np.float32)), first])
    assert driver.calls.count("cuStreamWaitEvent") == 1
    driver.calls.clear()
    first.numpy()
    assert driver.calls.count("cuStreamSynchronize") == 1
    a.numpy()
    assert driver.calls.count("cuStreamSynchronize") == 1


def test_a_written_argument_is_the_streams_work(driver: StandIn):
    fill = Launch("fill", (ONE, ONE, ONE), (32, 1, 1), 0, (0,))
    program = Program("fill", "sm_90", (matrix(0, written=True),), (), (fill,), ())
    (a,) = arrays((4, 4))
    cuda.DeviceProgram(program, dense("out"), [ptx_for(program)])([a], 6)
    assert a.stream == 6


def test_array_interface_and_its_limits(driver: StandIn):
    (x,) = arrays((2, 3))
    described = x.__cuda_array_interface__
    assert (described["shape"], described["typestr"], described["data"]) == ((2, 3), "<f4", (x.memory.address, False))
    assert np.array_equal(x.numpy(), np.ones((2, 3))) and x.numpy().dtype == np.float32
    with pytest.raises(pith.DTypeError, match=r"call \.numpy\(\)"):
        np.asarray(x)
    half = cuda.to_device(torch.ones(3, dtype=torch.bfloat16))
    assert half.element == "bf16" and not hasattr(half, "__cuda_array_interface__")
    seen = dlpack.Borrowed(half.__dlpack__(), "x")
    assert (seen.dtype, seen.shape, seen.device, seen.address) == ("bfloat16", (3,), (2, 0), half.memory.address)


def refused(kind: type[Exception], text: str, *args: Any, run: Any = None) -> None:
    with pytest.raises(kind, match=text):
        (run or product())(args)


def test_arguments_that_do_not_fit(driver: StandIn):
    a, b = arrays((70, 30), (30, 5))
    refused(pith.DeviceError, r"argument 'b': .*NumPy array\n.*to_device\(x\)", a, np.ones((30, 5), np.float32))
    refused(pith.DeviceError, r"argument 'a': .*tensor on a GPU, got one on cpu\n.*\.cuda\(\)", torch.ones(70, 30), b)
    refused(pith.ArgumentError, "argument 'a': expected an array on a GPU, got list", [[1.0]], b)
    refused(
        pith.DTypeError, "argument 'b': expected .x.xf32, got an array of float64", a, cuda.to_device(np.ones((2, 2)))
    )
    refused(pith.ShapeError, r"argument 'a': expected .x.xf32, got shape \(70,\)", cuda.to_device(np.ones(70, "f4")), b)
    transposed = Interface(a, shape=(30, 70), strides=(4, 120))
    refused(pith.ShapeError, r"row-major storage.*\n.*contiguous", transposed, b)
    shifted = Interface(a, shape=(10, 30), data=(a.memory.address + 4, False))
    refused(pith.ArgumentError, r"no multiple of 16 bytes.*\n.*clone", shifted, b)
    assert not driver.launched


@pytest.mark.parametrize("kind", ["interface", "torch", "dlpack"])
def test_a_misaligned_view_is_found_on_any_call(kind: str, torch_cuda: list, driver: StandIn):
    wrap = {"interface": Interface, "torch": torch_on_gpu, "dlpack": Capsule}[kind]
    run = product()
    a, b = arrays((70, 30), (30, 5))
    run([wrap(a), b])
    shifted = cuda.DeviceArray((10, 30), "f32", types.SimpleNamespace(address=a.memory.address + 8, device=a.device))
    refused(pith.ArgumentError, "no multiple of 16", wrap(shifted), b, run=run)
    run([wrap(cuda.DeviceArray((10, 30), "f32", a.memory)), b])
    refused(pith.ArgumentError, "no multiple of 16", wrap(shifted), b, run=run)


def test_sizes_are_checked_for_every_signature(driver: StandIn):
    checked: list[Any] = []

    def check(args: Any) -> None:
        checked.append(tuple(a.shape for a in args))
        if args[0].shape[1] != args[1].shape[0]:
            raise pith.ShapeError("they differ")

    program = product_program()
    run = cuda.DeviceProgram(program, dense("a", "b"), [ptx_for(program)], check=check)
    a, b, other = arrays((70, 30), (30, 5), (31, 5))
    for _ in range(2):
        run([a, b])
        refused(pith.ShapeError, "they differ", a, other, run=run)
    assert checked == [((70, 30), (30, 5)), *[((70, 30), (31, 5))] * 2]


def test_read_only_arrays_that_would_be_written(driver: StandIn):
    fill = Launch("fill", (ONE, ONE, ONE), (32, 1, 1), 0, (0,))
    program = Program("fill", "sm_90", (matrix(0, written=True),), (), (fill,), ())
    run = cuda.DeviceProgram(program, dense("out"), [ptx_for(program)])
    (a,) = arrays((4, 4))
    refused(
        pith.ArgumentError, "argument 'out': the kernel writes", Interface(a, data=(a.memory.address, True)), run=run
    )
    assert run([Interface(a)]) is None


def test_arrays_on_different_devices():
    with standing_in(Gpu(), Gpu()):
        a, b = (cuda.to_device(np.ones((4, 4), np.float32), i) for i in (0, 1))
        refused(pith.DeviceError, "argument 'b'.*is on device 1.*'a' is on device 0", a, b)


def test_no_such_device(driver: StandIn):
    with pytest.raises(pith.NoGpuError, match=r"no device 3; there are: cuda:0 \(Stand-in H100, sm_90\)"):
        cuda.to_device(np.ones(3), 3)


# -- what the machine lacks -----------------------------------------------------------------


def test_the_package_is_there_when_it_is_named():
    script = "import sys, pith; pith.runtime; assert 'pith.runtime.cuda' not in sys.modules; pith.runtime.cuda.Device"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_without_the_bindings(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    cuda.driver.driver.cache_clear()
    with pytest.raises(pith.NoGpuError, match=r"cuda-bindings cannot be imported.*\n.*pith-mlir\[gpu\]"):
        cuda.devices()
    assert not cuda.is_available()


def test_without_a_driver():
    """The real bindings on a machine without libcuda: what they raise becomes pith's error."""
    bindings = pytest.importorskip("cuda.bindings.driver")
    try:
        if not bindings.cuInit(0)[0]:
            pytest.skip("there is a driver here")
    except RuntimeError:
        pass
    cuda.driver.driver.cache_clear()
    with pytest.raises(pith.NoGpuError, match=r"CUDA driver.*\n.*hint: "):
        cuda.to_device(np.ones(3))
    assert not cuda.is_available()


@pytest.mark.parametrize("status", [Status.NO_DEVICE])
def test_a_driver_without_devices(status):
    with standing_in() as driver:
        driver.failures["cuInit"] = status
        with pytest.raises(
            pith.NoGpuError, match=r"starting the CUDA driver failed: no device.*\n.*CUDA_VISIBLE_DEVICES"
        ):
            cuda.devices()


@pytest.mark.parametrize(
    ("capability", "target", "runs"),
    [((8, 0), "sm_80", True), ((9, 0), "sm_80", True), ((8, 0), "sm_90", False), ((10, 0), "sm_90a", False)],
)
def test_architectures(capability, target, runs):
    with standing_in(Gpu("GPU", capability)):
        made = arrays((70, 30), (30, 5))
        if runs:
            assert product(target)(made).shape == (70, 5)
        else:
            chip = f"sm_{capability[0]}{capability[1]}"
            refused(
                pith.GpuArchitectureError,
                rf"PTX for {target} does not run on .*{chip}\)\n.*target='{chip}'",
                *made,
                run=product(target),
            )


def test_ptx_newer_than_the_driver():
    with standing_in(version=12020):
        text = r"driver for CUDA 12\.2.*unsupported ptx version(.|\n)*update the driver"
        refused(pith.GpuArchitectureError, text, *arrays((70, 30), (30, 5)), run=product(version="9.0"))


def test_what_the_drivers_assembler_says(driver: StandIn):
    program = product_program()
    run = cuda.DeviceProgram(program, dense("a", "b"), [b"// no PTX"])
    refused(pith.GpuArchitectureError, "the assembler said: ptxas : no .vers", *arrays((70, 30), (30, 5)), run=run)


def test_more_shared_memory_than_there_is():
    with standing_in(Gpu(max_shared_bytes=99 * 1024, capability=(9, 0))):
        program = product_program()
        assert product()(arrays((70, 30), (30, 5))).shape == (70, 5)
    with standing_in(Gpu(max_shared_bytes=64 * 1024)):
        run = cuda.DeviceProgram(program, dense("a", "b"), [ptx_for(program)])
        refused(
            pith.GpuLaunchError, "product: needs 100000 bytes of shared memory", *arrays((70, 30), (30, 5)), run=run
        )


def test_grids_beyond_the_limits(driver: StandIn):
    b = Interface(arrays((1, 1))[0], shape=(0, 70_000))
    refused(pith.GpuLaunchError, r"product, grid \(1, 70000, 1\).*the grid is larger", *arrays((3, 0)), b)


def test_a_kernel_the_code_does_not_have(driver: StandIn):
    program = product_program()
    other = Program("x", "sm_90", (), (), (Launch("x", (ONE,) * 3, (1, 1, 1), 0, ()),), ())
    run = cuda.DeviceProgram(program, dense("a", "b"), [ptx_for(other)])
    refused(pith.GpuLaunchError, "looking up the kernel 'narrow'", *arrays((70, 30), (30, 5)), run=run)


# -- sparse tensors and patterns ------------------------------------------------------------


def sparse_program() -> tuple[Program, list[Param], pith.SparseTensor]:
    tensor = pith.compress(np.eye(6, 8, dtype=np.float32), "csr")
    names = ["positions[1]", "coordinates[1]", "values"]
    kinds = [pith.runtime.dtype_name(b.dtype) for b in tensor.buffers]
    arguments = [Operand(f"0.{n}", k, (dim(i, 0),)) for i, (n, k) in enumerate(zip(names, kinds))]
    arguments += [Operand("0.size[0]", "index", None), Operand("1.pattern", "i32", (dim(4, 0),))]
    launch = Launch("walk", (ONE, ONE, ONE), (32, 1, 1), 0, (0, 1, 2, 3, 4))
    params = [Param("w", "encoded", "f32", (-1, 8), tensor.format), Param("p", "pattern", "i32", (-1,), None, (2,))]
    return Program("walk", "sm_90", tuple(arguments), (), (launch,), ()), params, tensor


def test_sparse_tensors_and_patterns_are_copied_once(driver: StandIn):
    program, params, w = sparse_program()
    run = cuda.DeviceProgram(program, params, [ptx_for(program)])
    p = pith.Pattern.from_indices([3, 1], sizes=9, granularity=2)
    for _ in range(2):
        run([w, p])
    assert len(driver.live) == 4 and driver.launched[0] == driver.launched[1]
    values = driver.launched[0].values
    assert values[15] == 6
    listed = cuda.DeviceArray((3,), "i32", types.SimpleNamespace(address=values[16], device=cuda.device(), stream=0))  # type: ignore[arg-type]
    assert listed.numpy().tolist() == [2, 3, 1]
    run([cuda.to_device(w), cuda.to_device(p)])
    run([cuda.to_device(w), cuda.to_device(pattern_list(p))])
    gc.collect()
    assert len(driver.live) == 4
    del w, p
    gc.collect()
    assert not driver.live


def test_values_that_were_overwritten_are_copied_again(driver: StandIn):
    program, params, w = sparse_program()
    run = cuda.DeviceProgram(program, params, [ptx_for(program)])
    p = pith.Pattern.from_indices([3, 1], sizes=9, granularity=2)
    run([w, p])
    before = resident(w, cuda.device())
    assert resident(w, cuda.device()) is before
    dense = 2 * w.to_dense()
    pith.repack(w, dense, out=w)
    run([w, p])
    copy = resident(w, cuda.device())
    assert isinstance(copy, cuda.DeviceSparse)
    np.testing.assert_array_equal(copy.values.numpy(), w.values)
    assert driver.launched[1].values != driver.launched[0].values
    assert len(driver.live) == 5  # the old values, while they are named here
    del before
    gc.collect()
    assert len(driver.live) == 4


def test_sparse_arguments_that_do_not_fit(driver: StandIn):
    program, params, w = sparse_program()
    run = cuda.DeviceProgram(program, params, [ptx_for(program)])
    p = pith.Pattern.from_indices([3, 1], sizes=9, granularity=2)
    refused(pith.FormatError, "walk: argument 'w': expects the format", w.to("coo"), p, run=run)
    refused(pith.FormatError, "walk: argument 'w': expects the format", cuda.to_device(w.to("coo")), p, run=run)
    refused(pith.FormatError, "walk: argument 'w': expects a pith.SparseTensor", arrays((6, 8))[0], p, run=run)
    refused(
        pith.FormatError,
        r"argument 'p': expects micro-tiles of \[2\], got \[1\]",
        w,
        pith.Pattern.from_indices([3], sizes=9),
        run=run,
    )
    refused(pith.ArgumentError, "argument 'p': expects a pith.Pattern, got int", w, 3, run=run)


def test_patterns_of_about_the_same_count_share_parameters(driver: StandIn):
    program, params, w = sparse_program()
    run = cuda.DeviceProgram(program, params, [ptx_for(program)])
    for count in (17, 20, 32):
        run([w, pith.Pattern.from_indices(np.arange(count), sizes=100, granularity=2)])
    assert len(run._plans) == 1
    run([w, pith.Pattern.from_indices(np.arange(33), sizes=100, granularity=2)])
    assert len(run._plans) == 2


# -- graphs -----------------------------------------------------------------------------------


def test_a_graph_replays_what_was_recorded(driver: StandIn):
    run = product()
    a, b = arrays((70, 30), (30, 5))
    graph = cuda.capture(run, [a, b])
    assert not driver.launched
    out = graph.replay()
    assert out is graph.results and out.shape == (70, 5)
    assert out.stream == 0 and graph.replay(stream=12).stream == 12
    assert [launch.kernel for launch in driver.launched] == ["narrow", "product"] * 2
    assert [launch.stream for launch in driver.launched] == [0, 0, 12, 12]
    first, second = driver.launched[1], driver.launched[3]
    assert first.values == second.values and first.values[14] == out.memory.address
    assert all(driver.holds(launch.values[0]) for launch in driver.launched)
    del graph, out, a, b
    gc.collect()
    assert not driver.live and driver.calls.count("cuGraphExecDestroy") == driver.calls.count("cuGraphDestroy") == 1


@pytest.mark.parametrize("name", ["cuLaunchKernel", "cuStreamEndCapture", "cuGraphInstantiate", "cuStreamBeginCapture"])
def test_a_failed_capture_leaves_nothing(driver: StandIn, name: str):
    run = product()
    a, b = arrays((70, 30), (30, 5))
    driver.failures[name] = Status.STREAM_CAPTURE_UNSUPPORTED
    with pytest.raises(pith.GpuError):
        cuda.capture(run, [a, b])
    assert len(driver.live) == 2
    driver.failures.clear()
    begun = driver.calls.count("cuStreamBeginCapture")
    assert driver.calls.count("cuStreamDestroy") == 1 and begun == 1
    assert driver.calls.count("cuStreamEndCapture") == (name != "cuStreamBeginCapture")
    assert run([a, b]).shape == (70, 5)


def test_constants_are_used_as_sizes(driver: StandIn):
    """A static size is checked against the argument."""
    operand = Operand("0.values", "f32", (const(4), dim(0, 1)))
    program = Program("f", "sm_90", (operand,), (), (Launch("f", (ONE,) * 3, (1, 1, 1), 0, (0,)),), ())
    run = cuda.DeviceProgram(program, [Param("x", "dense", "f32", (4, -1))], [ptx_for(program)])
    refused(pith.ShapeError, r"f: argument 'x': expected 4x\?xf32, got shape \(5, 4\)", *arrays((5, 4)), run=run)
