"""Candidates of a product that were timed here go before predictions."""

import json

import numpy as np
import pith
import pytest
from pith.tuning import measured
from pith.tuning.problem import Problem
from pith.tuning.select import choose, forget_ranks, rank

SHAPE, COLUMNS = (96, 64), 24


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "own_path", lambda: tmp_path / "products.json")
    forget_ranks()
    yield
    monkeypatch.undo()
    forget_ranks()


def operands(seed=0):
    rng = np.random.default_rng(seed)
    w = pith.prune(rng.standard_normal(SHAPE).astype(np.float32), "C0(2:4)")
    return pith.compress(w, "C0(2:4)"), rng.standard_normal((SHAPE[1], COLUMNS)).astype(np.float32)


def problem(a):
    return Problem.of(a, COLUMNS)


def test_every_candidate_is_timed_and_the_fastest_runs():
    a, x = operands()
    names = {c.name for c in rank(problem(a))}
    times = pith.tune(a, x, rounds=2)
    assert set(times) == names and list(times.values()) == sorted(times.values()) and min(times.values()) > 0
    ranked = rank(problem(a))
    assert all(c.measured and "measured by pith.tune" in c.reason for c in ranked)
    assert [c.seconds for c in ranked] == pytest.approx(sorted(times.values()), rel=1e-3)
    np.testing.assert_allclose(pith.matmul(a, x), a.to_dense() @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fast", ["dense:own", "lanes=16,rows=1"])
def test_measured_times_decide_in_later_processes_too(fast):
    a, x = operands()
    times = {c.name: 1e-3 for c in rank(problem(a))}
    measured.remember(problem(a), {**times, fast: 1e-5})
    assert choose(problem(a)).name != fast, "decided before"
    forget_ranks()
    assert choose(problem(a)).name == fast
    assert f"runs {fast}: measured 100" in pith.explain(a, x)
    np.testing.assert_allclose(pith.matmul(a, x), a.to_dense() @ x, rtol=1e-4, atol=1e-4)


def test_what_was_not_measured_is_compared_on_the_same_scale():
    a, _ = operands()
    before = {c.name: c.seconds for c in rank(problem(a), "sparse")}
    known = min(before, key=lambda name: before[name])
    measured.remember(problem(a), {known: 7 * before[known]})
    forget_ranks()
    after = {c.name: c.seconds for c in rank(problem(a), "sparse")}
    assert after == pytest.approx({name: 7 * seconds for name, seconds in before.items()}, rel=1e-3)


def test_products_are_of_one_class_or_not():
    a, _ = operands()
    same, other = problem(operands(1)[0]), Problem.of(a, COLUMNS + 1)
    assert measured.class_of(problem(a)) == measured.class_of(same) != measured.class_of(other)
    assert measured.class_of(Problem.of(a, COLUMNS, threads=7)) != measured.class_of(problem(a))


def test_a_module_keeps_dense_what_is_measured_to_be_faster(monkeypatch):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(64, 96).eval()
    model.weight.data = pith.prune(model.weight.data, "C0(2:4)")
    x = torch.randn(COLUMNS, 64)
    timed = []

    def times(problem, tensor, *_):
        timed.append(problem.columns)
        return {c.name: 1e-6 if c.name == "dense:own" else 1e-3 for c in rank(problem)}

    monkeypatch.setattr("pith.tuning.calibrate.time_variants", times)
    stored = pith.compile(model, (x,), sparsity={"weight": "C0(2:4)"}, path="sparse")
    tuned = pith.compile(model, (x,), sparsity={"weight": "C0(2:4)"}, tune=True)
    again = pith.compile(model, (x,), sparsity={"weight": "C0(2:4)"}, tune=True)
    assert timed == [COLUMNS], "once"
    assert "kept dense" in tuned.explain() and "kept dense" in again.explain()
    assert "kept dense" not in stored.explain()
    torch.testing.assert_close(tuned(x), model(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_file_that_cannot_be_read_is_warned_of(tmp_path):
    a, _ = operands()
    for text in ("[]", '{"version": 1}', "x"):
        (tmp_path / "products.json").write_text(text)
        forget_ranks()
        with pytest.warns(RuntimeWarning, match="pith ignores measured products"):
            assert not rank(problem(a))[0].measured


def test_times_of_another_version_are_left_out(tmp_path):
    a, _ = operands()
    measured.remember(problem(a), {c.name: 1.0 for c in rank(problem(a))})
    data = json.loads((tmp_path / "products.json").read_text())
    (tmp_path / "products.json").write_text(json.dumps({**data, "version": "0"}))
    forget_ranks()
    assert not rank(problem(a))[0].measured


def test_bad_input():
    a, x = operands()
    with pytest.raises(pith.ArgumentError, match="expects a sparse operand"):
        pith.tune(x, x)
    with pytest.raises(pith.ArgumentError, match="at least one round, got 0"):
        pith.tune(a, x, rounds=0)
    with pytest.raises(pith.ShapeError):
        pith.tune(a, x.T)
    with pytest.raises(pith.UnsupportedError, match="do not apply to MLIR"):
        pith.compile("func.func @f() { return }", tune=True)
    assert pith.tune(a, x[:, :0]) == {}
