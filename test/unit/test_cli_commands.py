"""``pith`` without a compiler: help, usage errors, ``inspect``, ``cache``, the demo's report."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pith
import pytest
from pith.cli.main import COMMANDS, main
from pith.cli.picture import draw
from pith.demo.measure import Result
from pith.demo.padded import PaddedResult
from pith.demo.report import to_json, to_text
from pith.runtime.cache import KernelCache


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"usage: pith {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [[], ["frobnicate"], ["run"], ["compile", "f.mlir", "--path", "fast"], ["inspect", "f.mtx", "--columns", "0"]],
)
def test_wrong_command_lines_exit_with_2(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "usage: pith" in capsys.readouterr().err


def test_help_loads_neither_mlir_nor_torch():
    script = "import sys; from pith.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    script += "sys.exit(any(m in sys.modules for m in ('torch', 'torch_mlir', 'llvmlite', 'transformers')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_inspect(tmp_path: pathlib.Path, capsys):
    dense = np.zeros((8, 16), np.float32)
    dense[[0, 0, 0, 5], [0, 1, 2, 9]] = [3, 2, 1, 4]
    pith.write(tmp_path / "a.mtx", pith.compress(dense, "coo"))
    assert main(["inspect", str(tmp_path / "a.mtx"), "--format", "C0(2:4)"]) == 0
    out = capsys.readouterr().out
    assert "8 x 16" in out
    assert "non-zeros   4, 3.125 % of the elements" in out
    assert "per row     0 to 3, mean 0.5, standard deviation 1; 6 empty rows" in out
    assert "the group at [0, 0] has 3 with non-zeros" in out
    assert "pruning to it keeps 75.00% of the non-zeros, 90.00% of the sum of magnitudes" in out
    bsr = next(line for line in out.splitlines() if line.startswith("bsr(4x4)"))
    assert bsr.split()[1:4] == [str(pith.compress(dense.astype(float), "bsr(4x4)").nbytes), bsr.split()[2], "12.50%"]


def test_inspect_of_a_matrix_without_entries(tmp_path, capsys):
    (tmp_path / "a.mtx").write_text("%%MatrixMarket matrix coordinate real general\n3 4 0\n")
    assert main(["inspect", str(tmp_path / "a.mtx"), "--format", "C0(2:4)"]) == 0
    assert "non-zeros   0, 0 %" in capsys.readouterr().out


def test_inspect_errors(tmp_path, capsys):
    (tmp_path / "a.mtx").write_text("%%MatrixMarket matrix coordinate real general\n3 4 1\n9 9 1.0\n")
    assert main(["inspect", str(tmp_path / "a.mtx")]) == 1
    assert "a.mtx:3" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "a.mtx"), "--format", "C0(9:4)"]) == 1
    assert "expects 1 <= G <= H" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(1, 1), (3, 1000), (1000, 3), (24, 64), (25, 65), (500, 400)])
def test_pictures_fit_and_show_every_corner(shape):
    corners = np.array([[0, 0, shape[0] - 1, shape[0] - 1], [0, shape[1] - 1, 0, shape[1] - 1]])
    lines = draw(np.unique(corners, axis=1), shape, ascii_only=True).splitlines()
    assert len(lines) <= 26
    assert all(len(line) == len(lines[0]) <= 66 for line in lines)
    assert lines[1][1] != " " != lines[-2][-2]


def test_cache_is_shown_and_cleared(tmp_path, monkeypatch, capsys):
    cache = KernelCache(tmp_path)
    monkeypatch.setattr("pith.runtime.cache.kernel_cache", lambda: cache)
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "abc.kernel").write_bytes(bytes(1_500_000))
    (tmp_path / "demo-ir").mkdir()
    (tmp_path / "demo-ir" / "0-pith.mlir").write_text("module {}")
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}\n1 kernels, 1.50 MB\n"
    assert main(["cache", "--clear"]) == 0
    assert main(["cache"]) == 0
    assert "0 kernels, 0.00 MB" in capsys.readouterr().out
    assert (tmp_path / "demo-ir" / "0-pith.mlir").exists()


PADDED = PaddedResult(
    sentences=2,
    size=10,
    tokens=8,
    relative_error=2e-6,
    relative_error_pruned=3e-6,
    ms_torch_padded=100.0,
    ms_torch_single=80.0,
    ms_pith=40.0,
    ms_pith_pruned=25.0,
    compile_s=1.0,
    rounds=3,
)


def result(**changes) -> Result:
    values = {
        "cosine_vs_torch_pruned_min": 0.99999,
        "cosine_vs_dense_mean": 0.6,
        "ms_torch_dense": 100.0,
        "ms_torch_pruned": 100.0,
        "ms_pith": 80.0,
        "weight_bytes_dense": 2000,
        "weight_bytes_pith": 1000,
        "ir_dir": "/tmp/with space",
        "ir_files": ["0-pith.mlir"],
        "layers": 1,
        "format": "C0(2:4)",
        "density": 0.5,
        "sentences": 2,
        "tokens": 9,
        "length_min": 4,
        "length_max": 5,
        "threads": 1,
        "rounds": 3,
        "compile_s": 1.0,
        "kernels_compiled": 1,
        "kernels_from_cache": 0,
        "padded": PADDED,
        "machine": {"cpu": "c", "processors": 1, "torch": "2", "pith": "0"},
    }
    return Result(**{**values, **changes})


def test_the_report_says_who_is_faster():
    assert "pith takes 20 % less time than dense torch" in to_text(result())
    assert "pith is slower than dense torch here: it takes 50 % more time." in to_text(result(ms_pith=150.0))


def test_the_report_says_how_noisy_the_times_are():
    assert "differ by 0 %." in to_text(result())
    assert "differ by 30 %; less than that says nothing." in to_text(result(ms_torch_pruned=130.0))
    assert "differ by 10 %." in to_text(result(ms_torch_pruned=110.0))


def test_the_report_says_when_results_are_wrong():
    assert to_text(result()).count("ok, must be above 0.9999") == 1
    wrong = result(cosine_vs_torch_pruned_min=float("nan"))
    assert not wrong.passed
    assert "WRONG" in to_text(wrong)


def test_the_report_has_the_padded_batch():
    text = to_text(result())
    assert "padded to 10 tokens: 60 % of it is padding" in text
    assert "2.0e-06 dense, 3.0e-06 pruned; ok, must be at most 1e-05" in text
    assert "pith, without the padding           40.0 ms   2.50x padded torch" in text
    assert json.loads(to_json(result()))["padded"]["waste"] == 0.6


@pytest.mark.parametrize("error", [2e-5, float("nan")])
def test_the_report_says_when_the_padded_batch_is_wrong(error):
    wrong = result(padded=dataclasses.replace(PADDED, relative_error=error))
    assert not wrong.passed
    assert "WRONG, must be at most 1e-05" in to_text(wrong)


def test_the_reports_command_is_quoted():
    assert "'/tmp/with space/1-linalg.mlir'" in to_text(result())
