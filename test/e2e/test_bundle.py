"""Kernels as files: what is saved runs elsewhere, and what is damaged or foreign is refused."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pith
import pytest
import torch
from pith.compiler import bundle_cpu
from pith.compiler.bundle_sections import Sections, value_of
from pith.compiler.container import VERSION
from spmv_program import SPMV

#: Runs ``pith.load(path)(x)`` where the compiler and torch cannot be imported.
WITHOUT_COMPILER = """
import sys
for name in ("torch", "torch_mlir", "llvmlite", "transformers"):
    sys.modules[name] = None
import numpy as np, pith
kernel = pith.load(sys.argv[1])
np.save(sys.argv[3], kernel(np.load(sys.argv[2])))
try:
    kernel.ir("vector")
except pith.errors.ToolError as error:
    assert "needs MLIR" in str(error) and "pip install" in error.hint
else:
    raise AssertionError("the compiler was there")
"""


class Block(torch.nn.Module):
    """Two products with a residual, as in a transformer's feed-forward block."""

    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(32, 64)
        self.down = torch.nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


@pytest.fixture
def matrix() -> pith.SparseTensor:
    rng = np.random.default_rng(0)
    return pith.compress((rng.standard_normal((13, 29)) * (rng.random((13, 29)) < 0.3)).astype(np.float32), "csr")


@pytest.fixture
def saved(tmp_path: pathlib.Path, matrix: pith.SparseTensor) -> pathlib.Path:
    """A kernel with its matrix bound."""
    path = tmp_path / "spmv.pith"
    pith.compile(SPMV).bind({0: matrix}).save(path)
    return path


def close(out: np.ndarray, ref: np.ndarray, tolerance: float = 1e-5) -> bool:
    return bool(np.linalg.norm(out - ref) <= tolerance * np.linalg.norm(ref))


def run_elsewhere(path: pathlib.Path, x: np.ndarray, folder: pathlib.Path) -> np.ndarray:
    np.save(folder / "x.npy", x)
    command = [sys.executable, "-c", WITHOUT_COMPILER, path, folder / "x.npy", folder / "y.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "y.npy")


def test_runs_without_compiler_and_torch(saved, matrix, tmp_path):
    x = np.random.default_rng(1).standard_normal(29).astype(np.float32)
    assert close(run_elsewhere(saved, x, tmp_path), matrix.to_dense().astype(np.float64) @ x)


def test_unbound_kernel_takes_other_matrices(tmp_path, matrix):
    pith.compile(SPMV).save(tmp_path / "k.pith")
    kernel = pith.load(tmp_path / "k.pith")
    x = np.ones(13, np.float32)
    other = pith.compress(np.ascontiguousarray(matrix.to_dense().T), "csr")
    assert close(kernel(other, x), matrix.to_dense().T.astype(np.float64) @ x)
    with pytest.raises(pith.FormatError, match="expects the format"):
        kernel(other.to("coo"), x)


def test_module_with_hierarchical_weights(tmp_path):
    torch.manual_seed(0)
    block = Block().eval()
    for linear in (block.up, block.down):
        linear.weight.data = pith.prune(linear.weight.data, "C1(3:4)->C0(2:4)")
    x = torch.randn(3, 5, 32)
    kernel = pith.compile(
        block, (x,), sparsity={"*.weight": "C1(3:4)->C0(2:4)"}, dynamic_shapes={"x": {0: "b", 1: "s"}}
    )
    kernel.save(tmp_path / "block.pith")
    y = np.random.default_rng(0).standard_normal((2, 7, 32)).astype(np.float32)
    reference = block.double()(torch.from_numpy(y).double()).detach().numpy()
    assert close(run_elsewhere(tmp_path / "block.pith", y, tmp_path), reference)


def test_module_rules_for_sizes_are_kept(tmp_path):
    class Add(torch.nn.Module):
        def forward(self, x, y):
            return x + y

    args = torch.randn(4), torch.randn(4)
    pith.compile(Add().eval(), args, dynamic_shapes={"x": {0: "n"}, "y": {0: "n"}}).save(tmp_path / "add.pith")
    kernel = pith.load(tmp_path / "add.pith")
    five = np.ones(5, np.float32)
    assert np.array_equal(kernel(five, five), five + five)
    with pytest.raises(pith.ShapeError, match="expects the size of"):
        kernel(five, np.ones(6, np.float32))


class Levels(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, x):
        return (self.linear(x) * 500).abs().clamp(max=255).to(torch.uint8), 3, x + 1


@pytest.mark.parametrize("sparsity", [{}, {"linear.weight": "C0(4:4)"}])
def test_bytes_without_a_sign_stay_so(tmp_path, sparsity):
    module, x = Levels().eval(), torch.randn(5, 8)
    pith.compile(module, (x,), sparsity=sparsity, path="sparse").save(tmp_path / "k")
    levels, more = pith.load(tmp_path / "k")(x)
    assert levels.dtype == torch.uint8 and more.dtype == torch.float32
    assert (levels.int() - module(x)[0].int()).abs().max() <= 1 and levels.max() > 127


def test_saved_again_it_is_the_same_file(saved, tmp_path):
    again = tmp_path / "again.pith"
    pith.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_explains_and_shows_its_ir(saved):
    kernel = pith.load(saved)
    assert "operand a: ?x?xf32" in kernel.explain()
    assert "llvm.func" in kernel.ir("llvm")


def test_every_changed_byte_is_found(saved, tmp_path):
    data = saved.read_bytes()
    changed = tmp_path / "changed.pith"
    positions = [*range(64), *np.random.default_rng(0).integers(64, len(data), 150).tolist(), len(data) - 1]
    for position in positions:
        copy = bytearray(data)
        copy[position] ^= 0x10
        changed.write_bytes(copy)
        with pytest.raises((pith.FileFormatError, pith.UnsupportedError)) as caught:
            pith.load(changed)
        assert str(changed) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 40, 56, 64, 700, -64, -1])
def test_truncated_files_are_refused(saved, tmp_path, keep):
    short = tmp_path / "short.pith"
    short.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(pith.FileFormatError):
        pith.load(short)


def test_appended_bytes_are_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"x")
    with pytest.raises(pith.FileFormatError, match="where its header says"):
        pith.load(saved)


def test_newer_versions_are_refused(saved):
    data = bytearray(saved.read_bytes())
    data[8:12] = (VERSION + 1).to_bytes(4, "little")
    saved.write_bytes(data)
    with pytest.raises(pith.UnsupportedError, match=f"version {VERSION + 1}.*\n.*update pith-mlir"):
        pith.load(saved)


def test_other_processors_are_refused(saved, monkeypatch):
    monkeypatch.setattr(bundle_cpu, "cpu_features", lambda: frozenset({"sse2"}))
    with pytest.raises(pith.UnsupportedError, match="compiled for a processor with"):
        pith.load(saved)
    monkeypatch.setattr(bundle_cpu.platform, "machine", lambda: "riscv64")
    with pytest.raises(pith.UnsupportedError, match="this machine is riscv64"):
        pith.load(saved)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + bytes(200))
    with pytest.raises(pith.FileFormatError, match="not a pith bundle"):
        pith.load(tmp_path / "a.npy")
    with pytest.raises(FileNotFoundError):
        pith.load(tmp_path / "none.pith")


def test_a_failed_save_leaves_the_old_file(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk is gone")))
    with pytest.raises(OSError, match="disk is gone"):
        pith.compile(SPMV).save(saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "uint8", "uint16", "int32", "int64", "bool"]
)
def test_arrays_of_every_type_survive(dtype):
    import ml_dtypes

    wanted = np.arange(7).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    sections = Sections()
    sections.add_bytes(b"something before it")
    restored = value_of(sections.add_value(wanted), sections.arrays)
    assert restored.dtype == wanted.dtype
    assert np.array_equal(restored, wanted)


def test_rebind_refuses_other_modules():
    x = torch.randn(2, 8)
    kernel = pith.compile(torch.nn.Linear(8, 4).eval(), (x,))
    with pytest.raises(pith.ArgumentError, match="out_features=5"):
        kernel.rebind(torch.nn.Linear(8, 5).eval())
    with pytest.raises(pith.ArgumentError, match="training mode"):
        kernel.rebind(torch.nn.Linear(8, 4))
    with pytest.raises(pith.ArgumentError, match="float64"):
        kernel.rebind(torch.nn.Linear(8, 4).double().eval())
