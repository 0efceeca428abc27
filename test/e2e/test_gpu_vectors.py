"""The emulator's matrix instructions against what a GPU did (``bench/gpu`` records it), bit by bit."""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import pith
import pytest

torch = pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu.vector_programs import AnyInstruction, instructions  # noqa: E402
from bench.gpu.vectors import draw_inputs, run, tensor_of, write_vectors  # noqa: E402

RECORDED = sorted(pathlib.Path(__file__).with_name("vectors").glob("vectors-*.json"))
BY_NAME = {instruction.name: instruction for instruction in instructions()}


def emulated(instruction: AnyInstruction):
    chip = instruction.chip or "sm_90"
    return pith.compile(instruction.source(chip), target=f"emulate:{chip}")


def differing(instruction: AnyInstruction, draw: dict[str, str]) -> int:
    """Elements in which the emulator differs from what was recorded."""
    inputs = [tensor_of(draw[f.name], f) for f in instruction.inputs]
    kernel = emulated(instruction)
    wanted = tensor_of(draw[instruction.output.name], instruction.output)
    return int((run(kernel, instruction, inputs) != wanted).sum())


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_emulator_does_what_a_gpu_did(path):
    """There is one file per kind of GPU that was at hand; see bench/gpu/README.md."""
    recorded = json.loads(path.read_text())["vectors"]
    # What only one chip has is missing where others were recorded.
    assert {name for name in BY_NAME if not BY_NAME[name].chip} <= set(recorded) <= set(BY_NAME)
    wrong = {name for name, draws in recorded.items() for draw in draws if differing(BY_NAME[name], draw)}
    assert not wrong


@pytest.mark.parametrize("name", BY_NAME)
def test_a_recording_is_compared_bit_by_bit(name, tmp_path):
    """What the emulator gives, written and read like a GPU's, agrees; with one bit changed it does not."""
    instruction = BY_NAME[name]
    inputs = draw_inputs(instruction, np.random.default_rng(0))
    result = run(emulated(instruction), instruction, inputs)
    arrays = zip([*instruction.inputs, instruction.output], [*inputs, result])
    draw = {f.name: x.contiguous().view(torch.uint8).numpy().tobytes().hex() for f, x in arrays}
    row = {"job": "vectors fragments", "status": "ok", "vectors": {name: [draw]}}
    path = write_vectors(tmp_path, [row], {"target": "sm_90", "device": "none"})
    (again,) = json.loads(path.read_text())["vectors"][name]
    assert differing(instruction, again) == 0
    changed = bytearray.fromhex(again[instruction.output.name])
    changed[0] ^= 1
    assert differing(instruction, {**again, instruction.output.name: changed.hex()}) == 1


@pytest.mark.parametrize("name", [n for n in BY_NAME if n.startswith("mma.") and ".sp." not in n])
def test_dense_fragments_are_those_of_the_manual(name):
    """Products of whole matrices, put into registers as the PTX ISA says, come out as NumPy has them."""
    instruction = BY_NAME[name]
    inputs = draw_inputs(instruction, np.random.default_rng(1))
    out = run(emulated(instruction), instruction, inputs)
    a, b, c = (x.double().numpy() for x in inputs)
    lanes = instruction.inputs[0].lanes
    k = int(name.split("k")[1].split(".")[0])
    lhs, rhs, sums, got = np.zeros((16, k)), np.zeros((k, 8)), np.zeros((16, 8)), np.zeros((16, 8))
    for lane in range(32):
        row, column = divmod(lane, 4)
        for i in range(a.shape[1]):
            register, part = divmod(i, lanes)
            lhs[row + 8 * (register % 2), column * lanes + part + 4 * lanes * (register // 2)] = a[lane, i]
        for i in range(b.shape[1]):
            register, part = divmod(i, lanes)
            rhs[column * lanes + part + 4 * lanes * register, row] = b[lane, i]
        for i in range(4):
            sums[row + 8 * (i // 2), 2 * column + i % 2] = c[lane, i]
            got[row + 8 * (i // 2), 2 * column + i % 2] = float(out[lane, i])
    np.testing.assert_array_equal(got, lhs @ rhs + sums)
