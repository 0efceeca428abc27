"""The command ``pith``, as users type it."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from pith.cli.main import main
from pith.functional.matmul.ir import matmul_source
from pith.sparse import CSR
from spmv_program import SPMV


@pytest.fixture
def work(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory with a program, a matrix and a vector."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("f.mlir").write_text(SPMV)
    scipy.io.mmwrite("a.mtx", scipy.sparse.random(31, 17, 0.2, random_state=0))
    np.save("x.npy", np.random.default_rng(0).standard_normal(17).astype(np.float32))
    return tmp_path


def expect_error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The message of a command that fails the way users should see it."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("pith: error: ")
    assert "Traceback" not in err
    return err


@pytest.mark.usefixtures("work")
def test_compile_then_run():
    assert main(["compile", "f.mlir", "-o", "f.pith"]) == 0
    assert main(["run", "f.pith", "-i", "a.mtx", "-i", "x.npy", "-o", "y.npy"]) == 0
    assert main(["run", "f.mlir", "-i", "a.mtx", "-i", "x.npy", "-o", "z.npy", "--path", "loops"]) == 0
    wanted = scipy.io.mmread("a.mtx") @ np.load("x.npy").astype(np.float64)
    for result in ("y.npy", "z.npy"):
        assert np.linalg.norm(np.load(result) - wanted) <= 1e-5 * np.linalg.norm(wanted)


@pytest.mark.usefixtures("work")
def test_run_prints_what_a_function_wrote_to(capsys):
    pathlib.Path("mm.mlir").write_text(matmul_source(CSR, "f32", False))
    np.save("eye.npy", np.eye(2, dtype=np.float32))
    np.save("b.npy", np.array([[1, 2], [3, 4]], np.float32))
    np.save("out.npy", np.full((2, 2), np.nan, np.float32))
    assert main(["run", "mm.mlir", "-i", "eye.npy", "-i", "b.npy", "-i", "out.npy"]) == 0
    assert capsys.readouterr().out == "[[1. 2.]\n [3. 4.]]\n"


@pytest.mark.usefixtures("work")
def test_run_takes_numbers(capsys):
    pathlib.Path("g.mlir").write_text(
        "func.func @g(%x: f32, %n: index) -> index {\n"
        "  %i = arith.fptosi %x : f32 to i64\n  %j = arith.index_cast %i : i64 to index\n"
        "  %r = arith.addi %j, %n : index\n  return %r : index\n}\n"
    )
    assert main(["run", "g.mlir", "-i", "2.5", "-i", "40"]) == 0
    assert capsys.readouterr().out == "42\n"
    assert "expects a number (index), got 'x'" in expect_error(capsys, "run", "g.mlir", "-i", "1", "-i", "x")


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(("level", "found"), [("pith", "#pith.format"), ("llvm", "llvm.func"), ("asm", "ciface_spmv")])
def test_compile_emits_levels(level, found, capsys):
    assert main(["compile", "f.mlir", "--emit", level]) == 0
    assert found in capsys.readouterr().out


@pytest.mark.usefixtures("work")
def test_compile_for_a_gpu():
    source = pathlib.Path(__file__).parents[1] / "lowering" / "gpu" / "convert-pith-to-gpu.mlir"
    assert main(["compile", str(source), "--target", "sm_90", "-o", "k.ptx"]) == 0
    assert ".target sm_90" in pathlib.Path("k.ptx").read_text()


@pytest.mark.usefixtures("work")
def test_explain(capsys):
    assert main(["explain", "f.mlir"]) == 0
    out = capsys.readouterr().out
    assert "operand a: ?x?xf32 stored as csr" in out
    assert 'loc("f.mlir":' in out and '"-"' not in out


@pytest.mark.usefixtures("work")
def test_levels_are_compiled_on(capsys):
    """What --emit writes of a level with flat buffers is read again, and its levels are printed."""
    assert main(["compile", "f.mlir", "--emit", "linalg", "-o", "linalg.mlir"]) == 0
    assert main(["compile", "linalg.mlir", "--emit", "vector"]) == 0
    assert "vector." in capsys.readouterr().out


@pytest.mark.usefixtures("work")
def test_errors_are_short(capsys):
    assert "nothing to write" in expect_error(capsys, "compile", "f.mlir")
    assert "none.mlir" in expect_error(capsys, "compile", "none.mlir", "-o", "k")
    assert "none.pith: No such file or directory" in expect_error(capsys, "run", "none.pith")
    assert "not a pith bundle" in expect_error(capsys, "run", "x.npy")
    assert "expects 2 inputs, got 1" in expect_error(capsys, "run", "f.mlir", "-i", "x.npy")
    assert "no level 'ptx'" in expect_error(capsys, "compile", "f.mlir", "--emit", "ptx")
    assert "--path does not apply to sm_90" in expect_error(
        capsys, "compile", "f.mlir", "--target", "sm_90", "--path", "loops", "-o", "k"
    )
    for file in ("k.ptx", "k.cubin"):
        assert "is code of a GPU, the target is cpu" in expect_error(capsys, "compile", "f.mlir", "-o", file)
    pathlib.Path("bad.npy").write_bytes(b"not an array")
    assert "is not a .npy file" in expect_error(capsys, "run", "f.mlir", "-i", "a.mtx", "-i", "bad.npy")
    pathlib.Path("broken.mlir").write_text("func.func @f() { unknown.op }")
    for command in (["explain"], ["compile", "-o", "k"], ["compile", "--target", "sm_90", "-o", "k"], ["run"]):
        said = expect_error(capsys, *command, "broken.mlir")
        assert "does not parse or verify:\nbroken.mlir:1:18: error: " in said
        assert "\nfunc.func @f() { unknown.op }\n                 ^\n" in said
    pathlib.Path("binary.mlir").write_bytes(b"func\xff")
    for command in (["explain"], ["compile", "-o", "k"]):
        assert "binary.mlir: not UTF-8 text (byte 0xff)" in expect_error(capsys, *command, "binary.mlir")


@pytest.mark.usefixtures("work")
def test_an_input_that_does_not_obey_its_format_is_named(capsys):
    form = '#pith.format<affine_map<(i) -> (i floordiv 4, i mod 4)>, [#pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>'
    text = f"func.func @f(%w: tensor<8xf32, {form}>) -> tensor<8xf32, {form}> {{ return %w : tensor<8xf32, {form}> }}"
    pathlib.Path("pairs.mlir").write_text(text)
    np.save("w.npy", np.ones(8, np.float32))
    assert "w.npy (w): element [2]" in expect_error(capsys, "run", "pairs.mlir", "-i", "w.npy")


@pytest.mark.usefixtures("work")
def test_malformed_formats_are_told_once(capsys):
    level = '[#pith.level<"dense">, #pith.level<"packed">], 0, 0, 0'
    form = f"#pith.format<affine_map<(d0, d1) -> (d0, d1)>, {level}>"
    pathlib.Path("level.mlir").write_text(f"func.func @f(%a: tensor<8x16xf32, {form}>) {{ return }}")
    err = expect_error(capsys, "explain", "level.mlir")
    assert err.count("unknown level 'packed'") == 1 and "level.mlir:1:1: error: " in err


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("PITH_DEBUG", "1")
    with pytest.raises(OSError, match=r"none\.pith"):
        main(["run", "none.pith"])


def test_doctor_finds_this_installation_sound(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok       kernel               CSR product compiled" in out
    assert "broken" not in out


def test_doctor_finds_a_broken_installation(monkeypatch, capsys, tmp_path):
    script = (
        "import sys; from pith.cli.main import main\n"
        f"import os; os.environ['PITH_RUNTIME_LIBRARY'] = {str(tmp_path / 'gone.so')!r}\n"
        "sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "broken   runtime" in done.stdout
    assert "gone.so" in done.stdout
    assert not done.stderr


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "pith", "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("pith 0.")
