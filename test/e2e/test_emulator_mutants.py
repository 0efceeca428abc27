"""Generated kernels with one barrier or one wait taken out: the emulator must notice each, so each is needed."""

import emulator_programs
import gpu_programs
import numpy as np
import pith
import pytest
from pith.compiler.build import parse
from pith.compiler.emulated import compile_emulated
from pith.lowering.gpu.emulate.compile import lower_to_gpu

BARRIER, WAIT = "gpu.barrier", "nvgpu.device_async_wait"


def gpu_level(source):
    """Lines of the gpu level of a program."""
    return lower_to_gpu(parse(source), emulator_programs.TARGET).text.splitlines()


def survivors(lines, arrays, what):
    """Which of the ``what`` ops can go without a fault, by number; and how many there are."""
    found = [i for i, line in enumerate(lines) if line.strip().startswith(what)]
    unnoticed = []
    for number, at in enumerate(found):
        mutant = "\n".join(line for i, line in enumerate(lines) if i != at)
        lowered, run = compile_emulated(parse(mutant), emulator_programs.TARGET)
        try:
            run(lowered.program, arrays)
            unnoticed.append(number)
        except pith.KernelFault as fault:
            assert fault.kind in ("race", "uninitialised", "divergence")
    return unnoticed, len(found)


def pit(axis, element, tile, shape):
    """A product over all of a pattern, and its operands."""
    m, n, k = shape
    rng = np.random.default_rng(shape)
    dtype = {"f32": np.float32, "f16": np.float16}[element]
    size = dict(m=m, n=n, k=k)[axis]
    entries = np.array([size, *range(size)], np.int32)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    source = gpu_programs.pit_matmul(axis, element=element, out="f32", tile=tile)
    return source, [entries, a, b, np.zeros((m, n), np.float32)]


# Depths of one step, where every buffer is in use at the end, and of several, where buffers are used again.
CASES = [
    ("m", "f32", (32, 32, 8), (40, 64, 8)),
    ("m", "f32", (32, 32, 8), (40, 64, 72)),
    ("k", "f16", (32, 32, 32), (40, 64, 160)),
    ("n", "f16", (64, 64, 32), (70, 64, 32)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_every_barrier_of_a_product_is_needed(case):
    source, arrays = pit(*case)
    unnoticed, count = survivors(gpu_level(source), arrays, BARRIER)
    assert count >= 3 and not unnoticed


@pytest.mark.parametrize("case", CASES[1:3], ids=lambda case: "-".join(map(str, case)))
def test_every_wait_of_a_product_is_needed(case):
    """But for the last, which finds nothing in flight: groups past the end of the depth are empty."""
    source, arrays = pit(*case)
    unnoticed, count = survivors(gpu_level(source), arrays, WAIT)
    assert count >= 2 and unnoticed == [count - 1]
