"""A kernel file for several targets in a virtual environment that holds NumPy, pith's own files and nothing else."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sysconfig
import venv

import numpy as np
import pith
import pytest
from pith.runtime.native import library_path
from scaled_kernels import SOURCE

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

WEIGHT = np.random.default_rng(0).standard_normal((24, 16)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((16, 7)).astype(np.float32)

#: A device of the stand-in for the driver runs the file's GPU code.
ON_A_GPU = """
import sys
sys.path += sys.argv[3:]
import numpy as np, pith
from cuda_stand_in import Gpu, standing_in
from scaled_kernels import as_numpy
for capability in ((8, 0), (9, 0)):
    with standing_in(Gpu(capability=capability)) as driver:
        driver.kernels = as_numpy
        kernel = pith.load(sys.argv[1])
        y = kernel(pith.runtime.cuda.to_device(np.load(sys.argv[2]))).numpy()
        print(kernel.target, np.isfinite(y).all() and len(driver.launched) > 0, abs(y).sum())
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The interpreter of a new environment."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    packages = pathlib.Path(sysconfig.get_path("purelib", "venv", variables))
    installed = pathlib.Path(np.__file__).parents[1]
    for part in installed.glob("numpy*"):
        (packages / part.name).symlink_to(part)
    parts = {"python/pith": "pith", **{name: f"pith/{name}" for name in ("dialect", "passes", "lowering")}}
    for source, name in parts.items():  # where a wheel has them, see pyproject.toml
        shutil.copytree(REPOSITORY / source, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(library_path(), packages / "pith" / "runtime")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """One file with code for the processor and two GPUs, and the input beside it."""
    folder = tmp_path_factory.mktemp("kernel")
    targets = ("cpu", "sm_80", "sm_90")
    pith.save([pith.compile(SOURCE, target=t).bind({0: WEIGHT}) for t in targets], folder / "scaled.pith")
    np.save(folder / "x.npy", X)
    return folder / "scaled.pith"


def run(python: pathlib.Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [python, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, env=kept
    )


def test_there_is_nothing_else(python):
    names = "import importlib.util as u; print([n for n in NAMES if u.find_spec(n)])"
    wanted = ("torch", "torch_mlir", "llvmlite", "scipy", "ml_dtypes", "platformdirs", "cuda", "pip")
    done = run(python, "-c", names.replace("NAMES", repr(wanted)))
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_command_runs_the_file(python, saved):
    """``pith run FILE --input x.npy``: without a driver the processor's code is taken."""
    out = saved.with_name("y.npy")
    done = run(python, "-m", "pith", "run", saved, "--input", saved.with_name("x.npy"), "--output", out)
    assert done.returncode == 0, done.stderr
    expected = WEIGHT.astype("f8") @ X
    assert np.linalg.norm(np.load(out) - expected) <= 2e-6 * np.linalg.norm(expected)


def test_gpu_code_is_picked(python, saved):
    done = run(python, "-c", ON_A_GPU, saved, saved.with_name("x.npy"), REPOSITORY / "test" / "unit", HERE)
    assert done.returncode == 0, done.stderr
    total = float(np.abs(WEIGHT.astype("f8") @ X).sum())
    for line, target in zip(done.stdout.splitlines(), ("sm_80", "sm_90"), strict=True):
        said, whole, found = line.split()
        assert (said, whole) == (target, "True") and abs(float(found) - total) < 1e-4 * total


@pytest.mark.parametrize("damage", ["truncated", "changed", "another version", "no kernel file"])
def test_damaged_files_are_refused(python, saved, tmp_path, damage):
    data, path = bytearray(saved.read_bytes()), tmp_path / "damaged.pith"
    if damage == "truncated":
        data = data[: len(data) * 2 // 3]
    elif damage == "changed":
        data[len(data) // 2] ^= 1
    elif damage == "another version":
        data = data.replace(b'"version": ', b'"version": 9', 1) if b'"version": ' in data else b"PITH" + data[4:][::-1]
    else:
        data = bytearray(b"\x80\x04K\x01.")  # a pickle
    path.write_bytes(bytes(data))
    done = run(python, "-m", "pith", "run", path, "--input", saved.with_name("x.npy"))
    assert done.returncode != 0 and "Traceback" not in done.stderr and str(path) in done.stderr, done.stderr


def test_a_target_that_is_not_there(python, saved):
    code = "import sys, pith\ntry: pith.load(sys.argv[1], target='sm_70')\nexcept pith.UnsupportedError as e: print(e)"
    done = run(python, "-c", code, saved)
    assert "no kernel for 'sm_70'" in done.stdout and "it has: cpu, sm_80, sm_90" in done.stdout, done.stderr
