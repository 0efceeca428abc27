"""Machine code as text, where a disassembler is installed: NVIDIA's for GPUs, binutils' or LLVM's for processors."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from ..errors import ToolError

#: Seconds one disassembly may take; the largest kernel of the tests needs under one.
TIMEOUT_S = 60


@dataclasses.dataclass(frozen=True)
class Disassembler:
    """Tools that print the code of a file, the first one that is installed.

    Attributes:
        options: per tool, what stands before the file.
        install: how one gets one.
        package: namespace package of the wheels that bring them, if any.
    """

    options: Mapping[str, tuple[str, ...]]
    install: str
    package: str = ""

    def find(self) -> list[str] | None:
        """The command without the file: on PATH, or in wheels; None without one."""
        for name, options in self.options.items():
            if path := shutil.which(name):
                return [path, *options]
        spec = importlib.util.find_spec(self.package) if self.package else None
        for root in spec.submodule_search_locations or () if spec else ():
            for name, options in self.options.items():
                for found in sorted(pathlib.Path(root).glob(f"**/bin/{name}")):
                    return [str(found), *options]
        return None

    def disassemble(self, code: bytes) -> str:
        """The instructions of a cubin or an object.

        Errors: :class:`pith.ToolError` when there is no tool, or it refuses the code.
        """
        command = self.find()
        if command is None:
            raise ToolError(f"neither {' nor '.join(self.options)} was found", hint=self.install)
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "kernel").write_bytes(code)  # the text names the file
            try:
                done = subprocess.run(
                    [*command, "kernel"], cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ToolError(f"the disassembler cannot be run: {error}", where=command[0]) from error
        if done.returncode:
            raise ToolError(f"refused the code: {done.stderr.strip()}", where=command[0])
        return done.stdout


GPU = Disassembler(
    {"nvdisasm": ("-c",), "cuobjdump": ("-sass",)},
    "install the CUDA toolkit, or: pip install nvidia-cuda-nvdisasm; ir('ptx') needs neither",
    "nvidia",
)

CPU = Disassembler(
    {name: ("-d", "-r", "--no-show-raw-insn") for name in ("objdump", "llvm-objdump")}, "install binutils"
)
