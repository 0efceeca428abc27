"""NVIDIA's disassemblers: machine code as text, where ``nvdisasm`` or ``cuobjdump`` is installed."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import subprocess
import tempfile

from ..errors import ToolError

#: Seconds one disassembly may take; the largest kernel of the tests needs under one.
TIMEOUT_S = 60

#: Tool -> its options before the file.
_TOOLS = {"nvdisasm": ("-c",), "cuobjdump": ("-sass",)}


def find_disassembler() -> list[str] | None:
    """The command that prints the code of the cubin after it: on PATH, or in NVIDIA's wheels; None without one."""
    for name, options in _TOOLS.items():
        if path := shutil.which(name):
            return [path, *options]
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for name, options in _TOOLS.items():
            for found in sorted(pathlib.Path(root).glob(f"**/bin/{name}")):
                return [str(found), *options]
    return None


def disassemble(cubin: bytes) -> str:
    """The instructions of machine code.

    Errors: :class:`pith.ToolError` when there is no disassembler, or it refuses the code.
    """
    command = find_disassembler()
    if command is None:
        raise ToolError(
            "neither nvdisasm nor cuobjdump was found",
            hint="install the CUDA toolkit, or: pip install nvidia-cuda-nvdisasm; ir('ptx') needs neither",
        )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        try:
            done = subprocess.run([*command, file.name], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"the disassembler cannot be run: {error}", where=command[0]) from error
    if done.returncode:
        raise ToolError(f"refused the code: {done.stderr.strip()}", where=command[0])
    return done.stdout
