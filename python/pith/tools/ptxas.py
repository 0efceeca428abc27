"""NVIDIA's PTX assembler: found on PATH or in the ``nvidia-cuda-nvcc`` wheel, optional everywhere.

pith never needs it to run a program (the driver assembles PTX); tests and ``pith doctor`` use it
to check code for chips that are not present.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
import shutil
import subprocess
import tempfile

from ..errors import ToolError

#: Seconds one assembly may take; the largest kernel of the tests needs under one.
TIMEOUT_S = 120


@dataclasses.dataclass(frozen=True)
class Assembled:
    """What ``ptxas`` made of one PTX module.

    Attributes:
        cubin: the machine code.
        registers: registers per thread, per kernel.
        spill_bytes: bytes of spill stores, per kernel.
        log: everything it said.
    """

    cubin: bytes
    registers: dict[str, int]
    spill_bytes: dict[str, int]
    log: str


def find_ptxas() -> str | None:
    """Path of ``ptxas``, or None when it is neither on PATH nor in the ``nvidia-cuda-nvcc`` wheel."""
    on_path = shutil.which("ptxas")
    if on_path:
        return on_path
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for path in sorted(pathlib.Path(root).glob("**/bin/ptxas")):
            return str(path)
    return None


def assemble(ptx: str, chip: str) -> Assembled:
    """Assemble ``ptx`` for ``chip`` (``sm_90``).

    Errors: :class:`pith.ToolError` when ptxas is missing, refuses the input, or does not end.
    """
    tool = find_ptxas()
    if tool is None:
        raise ToolError("ptxas was not found", hint="install the CUDA toolkit, or: pip install nvidia-cuda-nvcc")
    with tempfile.TemporaryDirectory(prefix="pith-ptxas-") as folder:
        source = pathlib.Path(folder, "kernel.ptx")
        target = pathlib.Path(folder, "kernel.cubin")
        source.write_text(ptx)
        log = _run([tool, f"-arch={chip}", "-v", str(source), "-o", str(target)], chip)
        return Assembled(target.read_bytes(), *_resources(log), log)


def _run(command: list[str], chip: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as e:
        raise ToolError(f"ptxas did not end within {TIMEOUT_S} s", where=chip) from e
    except OSError as e:
        raise ToolError(f"ptxas cannot be run: {e}", where=command[0]) from e
    if done.returncode:
        raise ToolError(
            f"ptxas refused the PTX (exit code {done.returncode}):\n{(done.stderr + done.stdout).strip()}",
            where=chip,
            hint="look at the PTX with `pith-opt --emit=ptx`",
        )
    return done.stderr + done.stdout


def _resources(log: str) -> tuple[dict[str, int], dict[str, int]]:
    registers: dict[str, int] = {}
    spills: dict[str, int] = {}
    kernel = ""
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = match[1]
        elif match := re.search(r"(\d+) bytes spill stores", line):
            spills[kernel] = int(match[1])
        elif match := re.search(r"Used (\d+) registers", line):
            registers[kernel] = int(match[1])
    return registers, spills
