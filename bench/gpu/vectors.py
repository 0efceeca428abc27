"""Record what matrix instructions do on this GPU, bit by bit: test vectors for the emulator's fragment layouts."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .kernels import Packed, as_tensor
from .measure import Kernels, Settings, message_of
from .vector_programs import AnyInstruction, Fragment, instructions, kernel_name

#: Of the file.
SCHEMA = 1

#: Draws per instruction.
_DRAWS = 3

#: The two kept places of four, as sparse instructions name them: first of the lower two bits, second of the higher.
_PAIRS = tuple(i | j << 2 for i in range(4) for j in range(i + 1, 4))

_DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "i8": torch.int8, "i16": torch.int16,
           "i32": torch.int32}  # fmt: skip


def draw_inputs(instruction: AnyInstruction, rng: np.random.Generator) -> list[torch.Tensor]:
    """Small integers, whose products and sums every type holds exactly; valid metadata."""
    return [_metadata(f, rng) if f.name == "e" else _integers(f, rng) for f in instruction.inputs]


def _integers(f: Fragment, rng: np.random.Generator) -> torch.Tensor:
    # f16 holds integers up to 2048: 32 products of at most 7 * 7 and a sum of at most 7 stay below.
    return torch.from_numpy(rng.integers(-7, 8, (f.threads, f.size))).to(_DTYPES[f.element])


def _metadata(f: Fragment, rng: np.random.Generator) -> torch.Tensor:
    nibbles = rng.choice(_PAIRS, (f.threads, f.size, 4)).astype(np.uint16)
    words = sum(nibbles[:, :, i] << (4 * i) for i in range(4))
    return torch.from_numpy(np.asarray(words, np.uint16).view(np.int16))


def run(kernel: Any, instruction: AnyInstruction, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """What the lanes hold afterwards; the memory for it is poisoned before."""
    f = instruction.output
    poison = torch.full((f.threads, f.size), 77, dtype=_DTYPES[f.element], device=inputs[0].device)
    return as_tensor(kernel(*inputs, poison))


def record_vectors(job: str, kernels: Kernels, settings: Settings) -> dict[str, Any]:
    """The row of a job's instructions: inputs and outputs as bytes; an instruction that fails is named."""
    if not isinstance(kernels, Packed):
        return {"status": "failed", "stage": "load", "message": "fragments are recorded from a package"}
    found, refused = {}, {}
    rng = np.random.default_rng(settings.seed)
    for instruction in instructions(job):
        try:
            kernel = kernels.function(kernel_name(instruction))
            found[instruction.name] = [_draw(kernel, instruction, rng, settings.device) for _ in range(_DRAWS)]
        except Exception as error:
            refused[instruction.name] = message_of(error)
    return {"status": "ok" if found else "failed", "vectors": found, "refused": refused}


def _draw(kernel: Any, instruction: AnyInstruction, rng: np.random.Generator, device: torch.device) -> dict[str, str]:
    inputs = draw_inputs(instruction, rng)
    result = run(kernel, instruction, [x.to(device) for x in inputs])
    named = {f.name: _bytes(x) for f, x in zip(instruction.inputs, inputs)}
    return {**named, instruction.output.name: _bytes(result.cpu())}


def _bytes(tensor: torch.Tensor) -> str:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes().hex()


def tensor_of(text: str, f: Fragment) -> torch.Tensor:
    """The inverse of what is written: the registers of all lanes.

    >>> from .vector_programs import Fragment
    >>> int(tensor_of("05" * 32, Fragment("d", 1, 1, "i8")).sum())
    160
    """
    return torch.frombuffer(bytearray.fromhex(text), dtype=_DTYPES[f.element]).view(f.threads, f.size)


def write_vectors(
    folder: pathlib.Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> pathlib.Path | None:
    """``vectors-<chip>.json``; copied into ``test/e2e/vectors/`` a test compares the emulator with it."""
    recorded = {name: draws for row in rows for name, draws in row.get("vectors", {}).items()}
    if not recorded:
        return None
    path = folder / f"vectors-{facts['target']}.json"
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps({"schema": SCHEMA, "device": dict(facts), "vectors": recorded}, indent=1) + "\n")
    os.replace(aside, path)
    return path
