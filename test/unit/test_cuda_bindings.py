"""The launcher over the real ``cuda-bindings``, which load a driver that is a stub: every call is one they accept."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is an optional extra")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")

#: Runs in a process of its own: the bindings look for the driver once.
BEFORE = """
import ctypes, gc, sys
import numpy as np, pith
from pith.runtime import cuda
from test_cuda_launch import ONE, arrays, product
stub = ctypes.CDLL("libcuda.so.1")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where the stub is, by the name the bindings look for."""
    path = tmp_path_factory.mktemp("driver")
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(path / "libcuda.so.1"), str(HERE / "stub_libcuda.c")]
    subprocess.run(command, check=True, capture_output=True)
    return path


def run(folder: pathlib.Path, script: str, fail: str = "", status: int = 0) -> str:
    """The output of ``script`` where the stub is the driver; ``fail``: a function of it that returns ``status``."""
    paths = {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(HERE)}
    failing = {"STUB_FAIL": fail, "STUB_STATUS": str(status)} if fail else {}
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **paths, **failing},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_calls_streams_and_graphs(folder):
    out = run(
        folder,
        """
a, b = arrays((70, 30), (30, 5))
call = product()
y = call([a, b])
assert y.shape == (70, 5) and stub.stub_launches() == 2, stub.stub_launches()
assert a.numpy().sum() == 2100
class Other:
    __cuda_array_interface__ = {**a.__cuda_array_interface__, "stream": 7}
call([Other(), b], 9)
graph = cuda.capture(call, [a, b])
assert stub.stub_launches() == 6
assert graph.replay().shape == graph.replay(stream=3).shape == (70, 5)
del y, graph, a, b, call, Other
gc.collect()
print(cuda.devices()[0], cuda.driver_version(), cuda.is_available(), stub.stub_live(), stub.stub_kept() >> 20)
""",
    )
    assert out == "cuda:0 (Stub, sm_90) (13, 0) True 0 256\n"


@pytest.mark.parametrize(
    ("name", "status", "kind", "text"),
    [
        ("MemAllocAsync", 2, "GpuMemoryError", "out of memory (CUDA_ERROR_OUT_OF_MEMORY)"),
        ("LaunchKernel", 1, "GpuLaunchError", "narrow, grid (2, 1, 1), block (128, 1, 1), 0 bytes of shared memory"),
        ("FuncSetAttribute", 1, "GpuLaunchError", "product: asking for 100000 bytes of shared memory failed"),
        ("ModuleLoadDataEx", 218, "GpuError", "the assembler said: ptxas fatal : stub"),
        ("Init", 100, "GpuError", "starting the CUDA driver failed"),
        ("GraphLaunch", 1, "GpuError", "starting a recorded call failed"),
    ],
)
def test_failures_of_the_driver(folder, name, status, kind, text):
    out = run(
        folder,
        """
try:
    a, b = arrays((70, 30), (30, 5))
    call = product()
    call([a, b])
    cuda.capture(call, [a, b]).replay()
except pith.GpuError as error:
    print(type(error).__name__, error)
""",
        name,
        status,
    )
    assert out.startswith(f"{kind} ") and text in out


def test_a_launch_costs_microseconds(folder):
    """Python's part of a call with its outputs given: some 4 us where it was written; a hundred would be a mistake."""
    out = run(
        folder,
        """
import time
from cuda_stand_in import ptx_for
from pith.programs import Launch, Program, ceildiv, const, dim
from test_cuda_launch import dense, matrix
launch = Launch("add", (ceildiv(dim(0, 0), const(64)), ONE, ONE), (128, 1, 1), 0, (0, 1, 2))
program = Program("add", "sm_90", (matrix(0), matrix(1), matrix(2, written=True)), (), (launch,), ())
call, args = cuda.DeviceProgram(program, dense("a", "b", "c"), [ptx_for(program)]), arrays((7, 3), (7, 3), (7, 3))
best = 1.0
for _ in range(100):
    start = time.perf_counter()
    for _ in range(100):
        call(args)
    best = min(best, (time.perf_counter() - start) / 100)
print(best * 1e6)
""",
    )
    assert float(out) < 100
