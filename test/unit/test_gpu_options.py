"""Command lines of the GPU benchmark that mean nothing: refused at once, with what there is."""

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu import check, pack, runner  # noqa: E402
from bench.gpu.__main__ import COMMANDS, main  # noqa: E402


def refused(command, argv, capsys):
    """What a command says on stderr about a wrong command line; it does nothing else."""
    with pytest.raises(SystemExit) as end:
        command(argv)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and not out
    return err


@pytest.fixture
def no_workers(monkeypatch):
    def supervise(*_):
        raise AssertionError("workers were started")

    monkeypatch.setattr(runner, "supervise", supervise)


@pytest.mark.parametrize("command", [check.main, pack.main, lambda argv: runner.main(pathlib.Path("nowhere"), argv)])
def test_cases_that_do_not_exist(command, capsys, no_workers, tmp_path):
    """One text that matches does not hide another that does not."""
    err = refused(command, ["--only", "call", "--only", "zzz"], capsys)
    assert "argument --only: no case matches 'zzz'; there are:" in err and "hss-2:4" in err and "sddmm-f32" in err


@pytest.mark.parametrize("command", [check.main, pack.main])
@pytest.mark.parametrize("target", ["sm_70", "cpu", "emulate:sm_90"])
def test_chips_that_do_not_exist(command, target, capsys):
    err = refused(command, ["--target", target], capsys)
    assert f"argument --target: unknown chip {target!r}; there are: " in err and "sm_90" in err


def test_a_machine_without_cuda(capsys, monkeypatch, no_workers, tmp_path):
    """One line, no worker, no file."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert runner.main(tmp_path, ["-o", str(tmp_path / "results")]) == 2
    out, err = capsys.readouterr()
    assert not out and not list(tmp_path.iterdir())
    assert err == "run.py: no CUDA device or no CUDA build of torch; --device cpu tests the harness\n"


def test_a_machine_without_packages():
    """``-S`` hides what is installed."""
    for argv, names in (([], ("numpy", "torch", "cuda-bindings")), (["--device", "cpu"], ("numpy", "torch"))):
        done = subprocess.run(
            [sys.executable, "-S", str(ROOT / "bench/gpu/run.py"), *argv], capture_output=True, text=True, check=False
        )
        listed = f"run.py: not installed: {', '.join(names)}; pip install {' '.join(names)}\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", listed)


def test_parts_that_do_not_exist(capsys, no_workers):
    err = refused(lambda argv: runner.main(pathlib.Path("nowhere"), argv), ["case"], capsys)
    assert "'case' is no part; there are: cases, vectors, tiles" in err


@pytest.mark.parametrize("argv", [[], ["nosuch"]])
def test_commands_that_do_not_exist(argv, capsys):
    assert "COMMAND" in refused(main, argv, capsys)


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    out = capsys.readouterr().out
    assert end.value.code == 0
    expected = [*COMMANDS, "examples:", "repository root"] if len(argv) == 1 else ["--target CHIP", "(sm_90)", "--only"]
    assert all(text in out for text in expected)


def test_help_of_the_runner(capsys):
    with pytest.raises(SystemExit):
        runner.main(pathlib.Path("nowhere"), ["--help"])
    out = capsys.readouterr().out
    assert "[PART ...]" in out and "cases, vectors, tiles" in out and "[]" not in out
