"""Launching programs: what the driver is asked for, packed how, and what is left behind. No GPU is needed."""

from __future__ import annotations

import gc
import struct
import threading
from typing import Any

import numpy as np
import pith
import pytest
from cuda_stand_in import Gpu, StandIn, Status, ptx_for, standing_in
from pith.compiler.params import Param
from pith.programs import Launch, Operand, Program, ceildiv, const, dim, scalar
from pith.runtime import cuda
from pith.runtime.cuda.plan import Temporaries

ONE = const(1)


def matrix(number: int, dtype: str = "f32", written: bool = False) -> Operand:
    return Operand(f"{number}.values", dtype, (dim(number, 0), dim(number, 1)), written)


def product_program(target: str = "sm_90") -> Program:
    """``result = a @ b`` in two launches with a temporary of a's size between them."""
    result = Operand("result0", "f32", (dim(0, 0), dim(1, 1)))
    temporary = Operand("temporary0", "f16", (dim(0, 0), dim(0, 1)))
    launches = (
        Launch("narrow", (ceildiv(dim(0, 0), const(64)), ONE, ONE), (128, 1, 1), 0, (0, 3)),
        Launch("product", (ceildiv(dim(0, 0), const(64)), dim(1, 1), ONE), (256, 1, 1), 100_000, (3, 1, 2, dim(0, 1))),
    )
    return Program("product", target, (matrix(0), matrix(1)), (result, temporary), launches, (2,))


def dense(*names: str, dtype: str = "f32") -> list[Param]:
    return [Param(name, "dense", dtype, (-1, -1)) for name in names]


def product(target: str = "sm_90", **options: Any) -> cuda.DeviceProgram:
    program = product_program(target)
    return cuda.DeviceProgram(program, dense("a", "b"), [ptx_for(program, target, **options)])


@pytest.fixture
def driver():
    with standing_in() as stand_in:
        yield stand_in


def arrays(*shapes: tuple[int, int]) -> list[cuda.DeviceArray]:
    return [cuda.to_device(np.ones(shape, np.float32)) for shape in shapes]


def descriptor(address: int, *sizes: int) -> tuple[int, ...]:
    strides = [1] * len(sizes)
    for axis in range(len(sizes) - 1, 0, -1):
        strides[axis - 1] = strides[axis] * sizes[axis]
    return (address, address, 0, *sizes, *strides)


def test_every_parameter_is_where_the_kernel_reads_it(driver: StandIn):
    a, b = arrays((70, 30), (30, 5))
    out = product()([a, b])
    first, second = driver.launched
    assert (first.kernel, first.grid, first.block, first.shared_bytes) == ("narrow", (2, 1, 1), (128, 1, 1), 0)
    assert (second.grid, second.block, second.shared_bytes) == ((2, 5, 1), (256, 1, 1), 100_000)
    temporary = first.values[7]
    assert first.values == (*descriptor(a.memory.address, 70, 30), *descriptor(temporary, 70, 30))
    assert second.values == (
        *descriptor(temporary, 70, 30),
        *descriptor(b.memory.address, 30, 5),
        *descriptor(out.memory.address, 70, 5),
        30,
    )
    assert out.shape == (70, 5) and out.element == "f32" and out.memory.address % 256 == 0


def test_a_second_call_asks_the_driver_for_nothing_it_knows(driver: StandIn):
    run = product()
    a, b = arrays((70, 30), (30, 5))
    run([a, b])
    driver.calls.clear()
    out = run([a, b])
    once = ["cuMemAllocAsync", "cuMemAllocAsync", "cuLaunchKernel", "cuLaunchKernel", "cuMemFreeAsync"]
    assert [c for c in driver.calls if c != "cuCtxGetCurrent"] == once
    assert driver.calls.count("cuCtxGetCurrent") <= 2
    assert out.shape == (70, 5)


def test_other_sizes_are_other_parameters(driver: StandIn):
    run = product()
    run(arrays((70, 30), (30, 5)))
    run(arrays((200, 8), (8, 1)))
    assert [launch.grid for launch in driver.launched] == [(2, 1, 1), (2, 5, 1), (4, 1, 1), (4, 1, 1)]
    assert driver.launched[-1].values[-1] == 8


def test_numbers_by_value(driver: StandIn):
    """Numbers arrive in the width of their parameter; those that sizes depend on decide about the grid."""
    kinds = ["f32", "f16", "i8", "i32", "index"]
    arguments = tuple(Operand(f"{i}.value", kind, None) for i, kind in enumerate(kinds))
    launch = Launch("numbers", (scalar(4), ONE, ONE), (32, 1, 1), 0, (0, 1, 2, 3, 4))
    program = Program("numbers", "sm_90", arguments, (), (launch,), ())
    params = [Param(kind, "number", kind) for kind in kinds]
    run = cuda.DeviceProgram(program, params, [ptx_for(program)])
    assert run([1.5, -2.0, -3, 2**31 + 5, np.int64(7)]) is None
    single, half = (int.from_bytes(struct.pack(code, x), "little") for code, x in (("<f", 1.5), ("<e", -2.0)))
    assert driver.launched[-1].values == (single, half, 253, 2**31 + 5, 7)
    run([0.0, 0.0, 255, 0, 9])
    assert driver.launched[-1].values == (0, 0, 255, 0, 9)
    assert [launch.grid[0] for launch in driver.launched] == [7, 9]
    for bad in (300, "x", 1.5, None):
        with pytest.raises(pith.ArgumentError, match="numbers: argument 'i8'"):
            run([0.0, 0.0, bad, 0, 1])


def test_nothing_to_do_is_not_launched(driver: StandIn):
    out = product()(arrays((0, 30), (30, 5)))
    assert out.shape == (0, 5) and out.nbytes == 0
    assert not driver.launched


def test_results_and_written_arguments(driver: StandIn):
    """An argument that is a result is returned as it was passed; several results are a tuple."""
    fill = Launch("fill", (ONE, ONE, ONE), (32, 1, 1), 0, (0, 1))
    buffer = Operand("result1", "i32", (const(3),))
    program = Program("fill", "sm_90", (matrix(0, written=True),), (buffer,), (fill,), (0, 1))
    (a,) = arrays((4, 4))
    returned, made = cuda.DeviceProgram(program, dense("a"), [ptx_for(program)])([a])
    assert returned is a
    assert made.shape == (3,) and driver.launched[0].values[:2] == (a.memory.address,) * 2


def test_temporaries_of_different_times_share_memory():
    buffers = tuple(Operand(f"temporary{i}", "i8", (const(size),)) for i, size in enumerate((1000, 300, 900)))
    a, b, c = 0, 1, 2
    launches = tuple(Launch(f"k{i}", (ONE,) * 3, (1, 1, 1), 0, used) for i, used in enumerate([(a,), (a, b), (b, c)]))
    program = Program("chain", "sm_90", (), buffers, launches, ())
    placed = Temporaries.of(program, [(1000,), (300,), (900,)])
    assert placed.offsets == {a: 0, b: 1024, c: 0}  # c starts when a is no longer used
    assert placed.nbytes == 1024 + 512


def test_arguments_results_and_temporaries_are_freed(driver: StandIn):
    run = product()
    made = arrays((70, 30), (30, 5))
    out = run(made)
    assert len(driver.live) == 3  # the temporary went with the call
    del made, out
    gc.collect()
    assert not driver.live


@pytest.mark.parametrize("launch", [0, 1])
def test_a_refused_launch_leaves_nothing(driver: StandIn, launch: int):
    run = product()
    a, b = arrays((70, 30), (30, 5))
    driver.failures["cuLaunchKernel"] = [0] * launch + [Status.LAUNCH_OUT_OF_RESOURCES]
    with pytest.raises(pith.GpuLaunchError) as caught:
        run([a, b])
    text = str(caught.value)
    assert caught.value.code == "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
    assert ("narrow, grid (2, 1, 1)", "product, grid (2, 5, 1)")[launch] in text
    assert ("block (128, 1, 1), 0 bytes", "block (256, 1, 1), 100000 bytes")[launch] in text
    assert "smaller tile" in text
    assert len(driver.live) == 2
    run([a, b])
    gc.collect()
    assert len(driver.live) == 2 and len(driver.launched) == launch + 2


def test_out_of_memory_leaves_nothing():
    with standing_in(Gpu(memory_bytes=40_000)) as driver:
        run = product()
        a, b = arrays((70, 30), (30, 5))
        big = cuda.to_device(np.ones(7_000, np.float32))
        before = set(driver.live)
        with pytest.raises(pith.GpuMemoryError, match=r"allocating \d+ bytes .* failed: out of memory") as caught:
            run([a, b])
        assert isinstance(caught.value, MemoryError) and "empty_cache" in str(caught.value)
        gc.collect()
        assert set(driver.live) == before
        with pytest.raises(pith.GpuMemoryError):
            cuda.to_device(np.ones(10_000, np.float32))
        assert set(driver.live) == before
        del big
        assert run([a, b]).shape == (70, 5)


def test_the_pool_keeps_what_is_freed(driver: StandIn):
    arrays((4, 4))
    assert driver.kept == 256 << 20
    with standing_in() as generous:
        generous.kept = 1 << 40
        arrays((4, 4))
        assert generous.kept == 1 << 40
    with standing_in() as strict:
        strict.failures["cuMemPoolSetAttribute"] = Status.INVALID_VALUE
        assert product()(arrays((70, 30), (30, 5))).shape == (70, 5)


def test_devices_without_pools_allocate_the_old_way():
    with standing_in(Gpu(pools=False)) as driver:
        out = product()(arrays((70, 30), (30, 5)))
        assert {"cuMemAlloc", "cuMemFree"} <= set(driver.calls) and "cuMemAllocAsync" not in driver.calls
        del out
        gc.collect()
        assert not driver.live


def test_code_is_loaded_once_per_device_and_content():
    with standing_in(Gpu(), Gpu()) as driver:
        for ordinal in (0, 1, 0):
            made = [cuda.to_device(np.ones(shape, np.float32), ordinal) for shape in ((3, 4), (4, 5))]
            for _ in range(2):
                product()(made)
        assert driver.calls.count("cuModuleLoadDataEx") == 2
        product(version="8.1")(made)
        assert driver.calls.count("cuModuleLoadDataEx") == 3


def test_the_threads_own_device_comes_back():
    with standing_in(Gpu(), Gpu()) as driver:
        first, second = (cuda.device(i) for i in (0, 1))
        first.enter()
        made = [cuda.to_device(np.ones(shape, np.float32), 1) for shape in ((3, 4), (4, 5))]
        out = product()(made)
        assert out.device is second
        assert int(driver.cuCtxGetCurrent()[1]) == int(first.context)
        driver.failures["cuLaunchKernel"] = Status.ILLEGAL_ADDRESS
        with pytest.raises(pith.GpuLaunchError, match="restart the process"):
            product()(made)
        assert int(driver.cuCtxGetCurrent()[1]) == int(first.context)


def test_a_failed_assertion_of_a_kernel_names_the_launch(driver: StandIn):
    """What ``cf.assert`` in a kernel ends in: the context is lost."""
    made = arrays((70, 30), (30, 5))
    driver.failures["cuLaunchKernel"] = Status.ASSERT
    with pytest.raises(pith.GpuLaunchError, match="CUDA_ERROR_ASSERT") as caught:
        product()(made)
    text = str(caught.value)
    assert caught.value.code == "CUDA_ERROR_ASSERT" and "the context is lost: restart the process" in text
    assert "target='emulate:...'" in text and "grid" in text and "block" in text


def test_threads_do_not_share_parameters(driver: StandIn):
    """Several threads start the same kernel on arrays of their own; every launch has one thread's addresses."""
    run = product()
    pairs = [arrays((70, 30), (30, 5)) for _ in range(4)]
    found: list[set[tuple[int, int]]] = [set() for _ in pairs]

    def work(number: int) -> None:
        for _ in range(50):
            out = run(pairs[number])
            found[number].add((pairs[number][1].memory.address, out.memory.address))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(pairs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seen = {(v[7], v[14]) for v in (launch.values for launch in driver.launched if launch.kernel == "product")}
    assert len(driver.launched) == 400 and seen == set().union(*found)


def test_bound_parameters_are_copied_once_per_device():
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    with standing_in(Gpu(), Gpu()) as driver:
        program = product_program()
        run = cuda.DeviceProgram(program, dense("a", "b"), [ptx_for(program)], {0: weight})
        for ordinal in (0, 1):
            b = cuda.to_device(np.ones((4, 5), np.float32), ordinal)
            used = {run([b]) and driver.launched[-2].values[0] for _ in range(3)}
            assert len(used) == 1
            (address,) = used
            assert driver.live[address][1] == ordinal and driver.holds(address, 48)
        assert sum(nbytes == 48 for nbytes, _, _ in driver.live.values()) == 2
