"""What users are told: errors in the words they used, hints, files that are not there, commands that fail."""

from __future__ import annotations

import pickle

import numpy as np
import pith
import pytest
from pith.cli.main import main
from pith.cli.status import exit_status

W = np.ones((3, 8))


@pytest.mark.parametrize(
    "call",
    [
        lambda: pith.compress(W, "C0(2:4)"),
        lambda: pith.validate(W, "C0(2:4)"),
        lambda: pith.compress(W, "csr").to("C0(2:4)"),
        lambda: pith.prune(W[:, :7], "C0(2:4)"),
        lambda: pith.prune_report(W[:, :7], "C0(2:4)"),
    ],
)
def test_formats_are_called_what_the_user_called_them(call):
    with pytest.raises(pith.Error, match=r"C0\(2:4\)") as caught:
        call()
    assert "floordiv" not in str(caught.value)


def test_a_report_names_the_whole_format():
    with pytest.raises(pith.ShapeError, match=r"8 does not divide \(format C1\(1:2\)->C0\(2:4\)\)"):
        pith.prune_report(W[:, :7], "C1(1:2)->C0(2:4)")


@pytest.mark.parametrize(
    "call",
    [
        lambda p: pith.read(p / "a.mtx"),
        lambda p: pith.read(p / "a.npz"),
        lambda p: pith.load(p / "a.pith"),
        lambda p: pith.write(p / "no" / "a.npz", pith.compress(W, "csr")),
    ],
)
def test_missing_files(call, tmp_path):
    with pytest.raises(pith.MissingFileError, match="No such file") as caught:
        call(tmp_path)
    assert isinstance(caught.value, pith.Error) and isinstance(caught.value, FileNotFoundError)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.mtx").mkdir()
    with pytest.raises(pith.FileAccessError, match="directory") as caught:
        pith.read(tmp_path / "a.mtx")
    assert not isinstance(caught.value, FileNotFoundError)


def test_sizes_that_fit_the_other_way_round():
    a, x = pith.compress(np.eye(4, 6, dtype=np.float32), "csr"), np.ones((5, 6), np.float32)
    with pytest.raises(pith.ShapeError, match="pass its transpose"):
        pith.matmul(a, x)
    with pytest.raises(pith.ShapeError, match="has size 6"):
        pith.matmul(a, np.ones((5, 5), np.float32))
    with pytest.raises(pith.ShapeError, match=r"pass a\.T"):
        pith.linear(np.ones((5, 4), np.float32), a)


def test_bytes_as_weights():
    with pytest.raises(pith.DTypeError, match=r"pith\.quantize"):
        pith.linear(np.ones((2, 4), np.float32), np.ones((3, 4), np.int8))


def test_inspect_knows_its_files(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "a.xyz")]) == 1
    assert ".npy, .safetensors" in capsys.readouterr().err
    pith.write(tmp_path / "a.mtx", pith.compress(W, "csr"))
    assert main(["inspect", str(tmp_path / "a.mtx"), "--png", str(tmp_path / "a.jpg")]) == 1
    assert "hint: a.png" in capsys.readouterr().err
    assert not (tmp_path / "a.jpg").exists()
    assert main(["inspect", str(tmp_path / "b.npy")]) == 1
    assert "b.npy: No such file" in capsys.readouterr().err


def raising(error: BaseException):
    def command() -> int:
        raise error

    return command


def test_exit_status(capsys, monkeypatch):
    monkeypatch.delenv("PITH_DEBUG", raising=False)
    assert exit_status("x", lambda: 3) == 3
    assert exit_status("x", raising(KeyboardInterrupt())) == 130
    assert exit_status("x", raising(pith.FormatError("bad", hint="good"))) == 1
    assert exit_status("x", raising(FileNotFoundError(2, "No such file", "f"))) == 1
    assert exit_status("x", raising(ZeroDivisionError("0"))) == 1
    err = capsys.readouterr().err
    assert "x: error: bad\n  hint: good\n" in err and "x: error: No such file: f\n" in err
    assert "internal error: ZeroDivisionError: 0" in err
    monkeypatch.setenv("PITH_DEBUG", "1")
    with pytest.raises(pith.FormatError):
        exit_status("x", raising(pith.FormatError("bad")))


def test_errors_travel_between_processes():
    fault = pith.KernelFault("too far", kind="out-of-bounds", kernel="k", block=(0, 0, 0), thread=(1, 0, 0))
    with pytest.raises(pith.MissingFileError) as missing:
        pith.read("no/such.mtx")
    for error in (fault, missing.value, pith.ShapeError("does not fit", where="x", hint="cut it")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert vars(again) == vars(error)
