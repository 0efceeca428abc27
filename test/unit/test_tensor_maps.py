"""Tensor maps: as data, and as the descriptors that launches pass by value. No GPU is needed."""

from __future__ import annotations

import ctypes
import json

import numpy as np
import pith
import pytest
from cuda_stand_in import Status, ptx_for, standing_in
from pith.compiler.params import Param
from pith.programs import Launch, Operand, Program, TensorMap, const, dim
from pith.programs.tensor_map import MAP_BYTES
from pith.runtime import cuda
from pith.runtime.emulated_maps import EmulatedMap, emulated_map

ONE = const(1)
HALF = TensorMap(0, (dim(0, 0), dim(0, 1)), (32, 64), 128)


def program(*maps: TensorMap) -> Program:
    """``out = kernel(a)`` with tensor maps beside the arrays; nothing is launched without rows."""
    a = Operand("0.values", "f16", (dim(0, 0), dim(0, 1)))
    out = Operand("result0", "f32", (dim(0, 0), dim(0, 1)))
    launch = Launch("kernel", (dim(0, 0), ONE, ONE), (128, 1, 1), 0, (0, 1, *maps))
    return Program("program", "sm_90", (a,), (out,), (launch,), (1,))


def loaded(*maps: TensorMap) -> cuda.DeviceProgram:
    made = program(*maps)
    return cuda.DeviceProgram(made, [Param("a", "dense", "f16", (-1, -1))], [ptx_for(made)])


@pytest.fixture
def driver():
    with standing_in() as stand_in:
        yield stand_in


def array(*shape: int) -> cuda.DeviceArray:
    return cuda.to_device(np.ones(shape, np.float16))


def described(bits: int) -> EmulatedMap:
    return EmulatedMap.from_buffer_copy(bits.to_bytes(MAP_BYTES, "little"))


def test_programs_with_maps_are_data():
    made = program(HALF, TensorMap(1, (dim(1, 0), const(8)), (8, 8), 0))
    text = made.to_json()
    assert Program.from_json(text) == made and json.loads(text)["launches"][0]["operands"][2]["swizzle"] == 128
    assert made.parameters(made.launches[0]) == 7 + 7 + 2


@pytest.mark.parametrize(
    ("shape", "box", "swizzle"),
    [((1,) * 6, (1,) * 6, 0), ((8, 8), (8,), 0), ((8, 8), (0, 8), 0), ((8, 8), (257, 8), 0), ((8, 8), (8, 8), 48)],
)
def test_what_no_descriptor_can_say(shape, box, swizzle):
    with pytest.raises(ValueError):
        TensorMap(0, tuple(map(const, shape)), box, swizzle)


def test_the_emulators_descriptor_has_the_size_of_the_hardwares():
    assert ctypes.sizeof(EmulatedMap) == MAP_BYTES
    held = emulated_map(4096, 2, (5, 100, 64), (1, 32, 64), 64)
    assert list(held.sizes[:3]) == [64, 100, 5] and list(held.strides[:2]) == [128, 12800]


def test_a_launch_passes_the_descriptor_of_its_array(driver):
    kernel, a = loaded(HALF), array(100, 64)
    kernel([a])
    held = described(driver.launched[0].values[-1])
    assert held.address == a.__cuda_array_interface__["data"][0]
    assert list(held.sizes[:2]) == [64, 100] and list(held.box[:2]) == [64, 32] and held.swizzle == 128


def test_descriptors_are_made_once_per_address(driver):
    kernel, a, other = loaded(HALF), array(100, 64), array(100, 64)
    encoded = []
    for given in (a, a, other, other, a):
        kernel([given])
        encoded.append(driver.calls.count("cuTensorMapEncodeTiled"))
        assert described(driver.launched[-1].values[-1]).address == given.__cuda_array_interface__["data"][0]
    assert encoded == [1, 1, 2, 2, 3]


def test_a_graph_keeps_its_descriptors(driver):
    kernel, a, other = loaded(HALF), array(100, 64), array(100, 64)
    graph = cuda.capture(kernel, [a])
    kernel([other])
    graph.replay()
    assert described(driver.launched[-1].values[-1]).address == a.__cuda_array_interface__["data"][0]


def test_a_map_of_a_result(driver):
    """Results are new arrays for every call."""
    kernel = loaded(TensorMap(1, (dim(0, 0), dim(0, 1)), (8, 8), 32))
    out = kernel([array(16, 8)])
    assert described(driver.launched[-1].values[-1]).address == out.__cuda_array_interface__["data"][0]
    assert described(driver.launched[-1].values[-1]).element_bytes == 4


def test_what_is_not_launched_is_not_described(driver):
    loaded(HALF)([array(0, 64)])
    assert not driver.launched and "cuTensorMapEncodeTiled" not in driver.calls


def test_rows_that_the_engine_cannot_address(driver):
    """The lowering launches another kernel for these; a program that does not is told by the driver."""
    with pytest.raises(pith.GpuLaunchError, match=r"boxes 32x64 of arg0 \(100x60xf16\) at 0x") as caught:
        loaded(HALF)([array(100, 60)])
    assert caught.value.code == "CUDA_ERROR_INVALID_VALUE" and not driver.launched
    assert "multiples of 16 bytes" in str(caught.value.hint)


def test_a_driver_that_fails_leaves_nothing_behind(driver):
    kernel, a = loaded(HALF), array(100, 64)
    driver.failures["cuTensorMapEncodeTiled"] = Status.INVALID_VALUE
    with pytest.raises(pith.GpuLaunchError):
        kernel([a])
    driver.failures.clear()
    kernel([a])
    assert len(driver.launched) == 1


def test_a_driver_older_than_tensor_maps():
    with standing_in(version=11080) as driver:
        made = program(HALF)
        old = ptx_for(made, version="7.8")
        kernel = cuda.DeviceProgram(made, [Param("a", "dense", "f16", (-1, -1))], [old])
        with pytest.raises(pith.GpuArchitectureError, match="update the driver to CUDA 12"):
            kernel([array(100, 64)])
        assert not driver.launched
