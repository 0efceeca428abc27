"""``pith bench``: one product beside its predictions, and a calibration from end to end."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.cli.main import main
from pith.progress import ProgressBar
from pith.runtime import num_threads
from pith.tuning import calibrate as module
from pith.tuning import database
from pith.tuning.calibrate import Settings, calibrate, time_calls
from pith.tuning.cases import draw
from pith.tuning.problem import Problem
from pith.tuning.samples import read_samples
from pith.tuning.select import forget_ranks, rank


@pytest.fixture
def own_database(tmp_path, monkeypatch):
    """A user's database that is not there yet."""
    path = tmp_path / "tuning.json"
    monkeypatch.setattr(database, "own_path", lambda: path)
    database.forget()
    forget_ranks()
    yield path
    database.forget()
    forget_ranks()


def test_a_product_is_timed_by_every_variant(capsys):
    threads = num_threads()
    assert main(["bench", "--shape", "64x128x16", "--format", "C0(2:4)", "--rounds", "1", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 thread\n64x128 f32 as C0(2:4), 50.0 % stored, times 128x16\n")
    header = next(line for line in out.splitlines() if "candidate" in line)
    assert header.split() == ["candidate", "predicted", "x", "measured", "goes", "to"]
    rows = [line for line in out.splitlines() if "lanes=" in line and "%" in line]
    assert len(rows) >= 2 and all(" us " in row for row in rows)
    assert num_threads() == threads


def test_a_matrix_from_a_file_and_the_other_side(tmp_path, capsys):
    pith.write(tmp_path / "a.mtx", pith.compress(np.eye(32, 48), "csr"))
    arguments = [str(tmp_path / "a.mtx"), "--columns", "5", "--right", "--rounds", "1", "--element", "f64"]
    assert main(["bench", *arguments]) == 0
    assert "5x32 times 32x48 f64 as csr, 2.1 % stored" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--shape", "3x4"], "expects three positive sizes"),
        (["--shape", "6x6x6", "--format", "C0(2:4)"], "4 does not divide"),
        (["--element", "f8"], "no element type 'f8'"),
        (["--density", "2"], "expects a share between 0 and 1"),
        (["nowhere.mtx"], "No such file"),
    ],
)
def test_bad_command_lines_are_explained(arguments, words, capsys):
    assert main(["bench", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_calibration_is_used_from_then_on(own_database, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pith.cli.bench.QUICK", 6.0)
    monkeypatch.setitem(module.MOST_WORK, "f32", 1 << 22)
    problem = Problem.of(pith.compress(np.ones((256, 256), np.float32), "csr"), 32, threads=1)
    before = rank(problem, "dense")[0].seconds
    samples = tmp_path / "samples.json"
    options = ["--threads", "1", "--element", "f32", "--samples", str(samples)]
    assert main(["bench", "--calibrate", "--quick", *options]) == 0
    out = capsys.readouterr().out
    assert "products measured; errors of predictions on those held out of the fit" in out
    assert f"written: {own_database}" in out
    assert database.calibration_for(1).origin == "own"
    assert rank(problem, "dense")[0].seconds != before
    measured = read_samples(samples.read_text())
    assert {s.variant.family for s in measured} >= {"dense", "panel"}
    assert all(s.seconds > 0 and s.problem.threads == 1 for s in measured)
    assert "never measured" not in pith.explain(pith.compress(np.eye(256, dtype=np.float32), "csr"), np.ones((256, 8)))


def test_a_database_that_cannot_be_read_is_not_overwritten(own_database, capsys):
    own_database.write_text("precious")
    assert main(["bench", "--calibrate", "--quick"]) == 1
    assert "is not a calibration" in capsys.readouterr().err
    assert own_database.read_text() == "precious"


def test_threads_are_restored_when_a_calibration_fails(monkeypatch):
    def fail(*_):
        raise RuntimeError("stop")

    threads = num_threads()
    monkeypatch.setattr(module, "time_variants", fail)
    with pytest.raises(RuntimeError, match="stop"):
        calibrate(Settings(1.0, threads=(threads + 3,), elements=("f32",)), lambda done, text: None)
    assert num_threads() == threads


def test_drawn_cases_obey_their_formats_and_limits():
    for element in ("f32", "bf16", "i8"):
        cases = [case for case, _ in zip(draw(element, 1 << 24), range(12))]
        assert len({c.format for c in cases}) > 3
        assert all(c.work <= 1 << 24 for c in cases)
        stored, x = cases[0].operands()
        again, _ = cases[0].operands()
        stored.validate()
        np.testing.assert_array_equal(stored.values, again.values)
        assert cases[0].columns in x.shape


def test_every_call_is_timed_in_every_round():
    calls, now = [], [0.0]

    def clock():
        return now[0]

    def call(name, seconds):
        def run():
            calls.append(name)
            now[0] += seconds

        return run

    times = time_calls({"slow": call("slow", 2.0), "fast": call("fast", 1e-4)}, 3, clock)
    assert times == {"slow": pytest.approx(2.0), "fast": pytest.approx(1e-4)}
    assert calls.count("slow") == 2 + 3 * 2 and calls.count("fast") == 2 + 3 * (1 + 5)


def test_the_bar_is_silent_where_nobody_watches(capsys):
    with ProgressBar() as bar:
        bar(0.3, "f32")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
