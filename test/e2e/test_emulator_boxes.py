"""Copies of boxes with something taken out: what the emulator says of a kernel that hardware would not define."""

import re

import numpy as np
import pith
import pytest
from pith.compiler.build import parse
from pith.compiler.emulated import compile_emulated
from pith.lowering.gpu.emulate.compile import lower_to_gpu
from pith.lowering.targets import GpuTarget
from test_gpu_boxes import LOAD, ODD, TILES
from test_gpu_products import draw, matmul

TARGET = GpuTarget("sm_90a", emulated=True)


def mutants():
    """(gpu level, operands) of a product whose copies of tiles are all used several times."""
    sizes = {**ODD, "k": 264}
    source = matmul("mk", "kn", "mn", "f16", "f32", sizes, TILES["128"])
    rng = np.random.default_rng(1)
    arrays = [draw(rng, [sizes[r] for r in roles], "f16")[0] for roles in ("mk", "kn")]
    text = lower_to_gpu(parse(source), TARGET).text
    return text, [*arrays, np.zeros((sizes["m"], sizes["n"]), np.float32)]


def fault_of(text, arrays):
    lowered, execute = compile_emulated(parse(text), TARGET)
    with pytest.raises(pith.KernelFault) as caught:
        execute(lowered.program, arrays)
    return caught.value


def without(text, op, number=0):
    """``text`` less its line ``number`` that begins with ``op``."""
    lines = text.splitlines()
    found = [i for i, line in enumerate(lines) if line.strip().startswith(op)]
    return "\n".join(line for i, line in enumerate(lines) if i != found[number])


def test_a_missing_wait():
    text, arrays = mutants()
    fault = fault_of(without(text, "nvgpu.mbarrier.try_wait"), arrays)
    assert fault.kind == "race" and "a wait is missing" in str(fault)


def test_a_missing_barrier():
    """Others wait for barriers that are not there yet; or copies overwrite what is still being read."""
    text, arrays = mutants()
    lines = without(text, "gpu.barrier").splitlines()
    assert fault_of("\n".join(lines), arrays).kind in ("race", "uninitialised")
    loop = next(i for i, line in enumerate(lines) if "scf.for" in line)
    fault = fault_of("\n".join([*lines[:loop], "gpu.barrier", *lines[loop:]]), arrays)
    assert fault.kind == "race" and "without a barrier between" in str(fault)


def test_a_missing_fence():
    text, arrays = mutants()
    fault = fault_of(without(text, "nvvm.fence.mbarrier.init"), arrays)
    assert fault.kind == "race" and "no fence" in str(fault)


def test_a_copy_that_never_comes_is_a_dead_lock_with_a_place():
    text, arrays = mutants()
    fault = fault_of(without(text, LOAD, -1), arrays)
    assert fault.kind == "deadlock" and "bytes are missing" in str(fault) and "mbarrier.try_wait" in fault.location


@pytest.mark.parametrize(("expected", "kind"), [(16384, "deadlock"), (4096, "invalid")])
def test_bytes_that_do_not_add_up(expected, kind):
    text, arrays = mutants()
    bytes_, = set(re.findall(r"arrive\.expect_tx %\w+\[%\w+\], (%c\d+)", text))  # fmt: skip
    mutant = re.sub(r"(arrive\.expect_tx %\w+\[%\w+\], )%c\d+", r"\1%other", text)
    at = text.index(f"{bytes_} = arith.constant")
    line = f"%other = arith.constant {expected} : index\n"
    mutant = mutant[:at] + line + mutant[at:]
    assert fault_of(mutant, arrays).kind == kind


def test_a_wrong_phase():
    """The first wait is for the phase before the first one, which is over: tiles are read too early."""
    text, arrays = mutants()
    (parity,) = re.findall(r"try_wait\.parity %\w+\[%\w+\], (%\w+)", text)
    mutant = text.replace(f"{parity} = %false", f"{parity} = %true", 1)
    assert mutant != text
    mutant = mutant.replace(
        "%false = arith.constant false", "%false = arith.constant false\n%true = arith.constant true"
    )
    assert fault_of(mutant, arrays).kind == "race"
