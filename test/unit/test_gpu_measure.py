"""One case of the GPU benchmark: poisoned results, wrong ones, moving ones, errors, peers that do not run."""

import pathlib
import sys

import pytest

torch = pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu.cases import Case  # noqa: E402
from bench.gpu.measure import Settings, measure  # noqa: E402
from bench.gpu.peers_table import BSR, CUBLAS, PITH  # noqa: E402
from bench.gpu.problems import Draw, problem  # noqa: E402
from bench.gpu.stored import stored  # noqa: E402
from bench.gpu.timing import HostClock  # noqa: E402

CASE = Case("x", "pit", {"m": 16, "n": 8, "k": 12, "element": "f32", "block": (4, 1)}, {"empty": 0.5}, (CUBLAS, BSR))
SETTINGS = Settings(torch.device("cpu"), HostClock(), rounds=3)


class Kernels:
    """A kernel in Python; ``good`` calls give what they should."""

    def __init__(self, good=10**9, bad=lambda out: out.zero_()):
        self.good, self.bad = good, bad

    def kernel(self, case):
        def bind(given):
            a, b, out = given.arguments

            def call():
                self.good -= 1
                torch.matmul(a, b, out=out) if self.good >= 0 else self.bad(out)
                return [out]

            return call

        return bind


def test_a_good_kernel_is_timed_beside_its_peers():
    row = measure(CASE, Kernels(), SETTINGS)
    assert row["status"] == "ok" and row["error"] < 1e-6
    assert set(row["contestants"]) == {PITH, CUBLAS} and set(row["refused"]) == {BSR}
    assert row["flops"] == 2 * 16 * 8 * 12 * 0.5


@pytest.mark.parametrize("bad", [lambda out: None, lambda out: out.zero_(), lambda out: out[0, 0].fill_(0)])
def test_wrong_results_are_not_timed(bad):
    """Nothing written at all: the poison is still there."""
    row = measure(CASE, Kernels(0, bad), SETTINGS)
    assert row["status"] == "wrong" and not row["error"] <= row["tolerance"] and "contestants" not in row


def test_results_that_move_are_wrong():
    row = measure(CASE, Kernels(3), SETTINGS)
    assert row["status"] == "wrong" and row["message"] == "it was right before it was timed"


def test_errors_name_their_stage():
    def fails(out):
        raise RuntimeError("an illegal memory access was encountered\n" + "more\n" * 50)

    row = measure(CASE, Kernels(0, fails), SETTINGS)
    assert (row["status"], row["stage"]) == ("failed", "run")
    assert "illegal memory access" in row["message"] and len(row["message"].splitlines()) < 20
    unknown = measure(Case("y", "nothing", {}), Kernels(), SETTINGS)
    assert (unknown["status"], unknown["stage"]) == ("failed", "operands")


def test_data_follow_the_seed_and_the_share():
    first, again, other = (problem(CASE, torch.device("cpu"), seed) for seed in (1, 1, 2))
    assert torch.equal(first.arguments[0], again.arguments[0])
    assert not torch.equal(first.arguments[0], other.arguments[0])
    kept = (first.arguments[0].view(4, 4, 12) != 0).any(1)
    assert int(kept.sum()) == 24, "exactly half of the 4x1 blocks"
    first.poison()
    assert first.arguments[2].isnan().all() and not first.arguments[0].isnan().any()


STORED = [
    ("V(16)C1(1:2)->C0(2:4)", (1024, 32), None),
    ("C0(2:4)", (24, 16), None),
    ("C0(bitmask)", (9, 40), 0.7),
    ("csr", (70, 33), 0.9),
]


@pytest.mark.parametrize(("name", "shape", "empty"), STORED)
def test_stored_matrices_are_the_dense_ones(name, shape, empty):
    """Slabs of static formats repeat places, not values; what is dense beside them is the same matrix."""
    made = stored(Draw(CASE, torch.device("cpu"), 0), shape, "f32", name, empty)
    made.tensor.validate()
    assert (made.tensor.to_dense() == made.dense.numpy()).all()
    assert made.dense.unique().numel() > made.tensor.nse // 2
