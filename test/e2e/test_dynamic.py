"""`pith.matmul` of operands marked with `pith.dynamic` against float64: every way to run it, and who decides."""

import re
import weakref

import numpy as np
import pith
import pytest
from pith.functional.dynamic import bound as dynamic_bound
from pith.functional.dynamic import choice as dynamic_choice
from pith.functional.dynamic import memory as dynamic_memory
from pith.functional.dynamic.dynamic import prepare
from pith.functional.dynamic.memory import forget_decisions, key_of, last_of
from pith.functional.dynamic.run import Product, run_dense
from pith.functional.dynamic.sampling import sampled_coverage
from pith.functional.dynamic.trial import Trials
from pith.passes.analysis.tile_cost import Candidate, Decision
from pith.runtime import kernel_cache, num_threads, set_num_threads
from pith.tuning import tiles
from pith.tuning.tiles_measure import TILES, Settings, measure_tiles

TOLERANCE = {"float32": 1e-5, "float64": 1e-13, "float16": 2e-3}
LEFT = ("dense", "1x1", "8x1", "1x8", "rows", "columns", "1x1 in place", "32x1 in place", "1x32 in place")
RIGHT = ("dense", "1x1", "1x8", "rows", "columns", "8x1 in place", "1x1 in place")


@pytest.fixture(autouse=True)
def one_thread():
    before = num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


def sparse(rng, shape, tile, sparsity, dtype=np.float32):
    tile = [t or n for t, n in zip(tile, shape)]
    keep = rng.random([-(-n // t) for n, t in zip(shape, tile)]) >= sparsity
    mask = keep.repeat(tile[0], 0).repeat(tile[1], 1)[: shape[0], : shape[1]]
    return np.where(mask, rng.standard_normal(shape), 0).astype(dtype)


def error(out, a, b):
    reference = a.astype(np.float64) @ b.astype(np.float64)
    assert out.shape == reference.shape
    return np.linalg.norm(np.asarray(out, np.float64) - reference) / (np.linalg.norm(reference) or 1.0)


@pytest.mark.parametrize("variant", LEFT)
@pytest.mark.parametrize("shape", [(64, 96, 40), (67, 101, 33)])
def test_left(variant, shape):
    rng = np.random.default_rng(0)
    m, k, n = shape
    for tile, sparsity in (((8, 1), 0.9), ((1, 0), 0.5), ((1, 1), 1.0)):
        a, b = sparse(rng, (m, k), tile, sparsity), rng.standard_normal((k, n)).astype(np.float32)
        out = np.full((m, n), np.nan, np.float32)
        assert pith.matmul(pith.dynamic(a), b, out=out, variant=variant) is out
        assert error(out, a, b) < TOLERANCE["float32"]


@pytest.mark.parametrize("variant", RIGHT)
@pytest.mark.parametrize("shape", [(40, 96, 64), (33, 101, 67)])
def test_right(variant, shape):
    rng = np.random.default_rng(1)
    m, k, n = shape
    for tile, sparsity in (((1, 8), 0.9), ((0, 1), 0.5), ((1, 1), 1.0)):
        a, b = rng.standard_normal((m, k)).astype(np.float32), sparse(rng, (k, n), tile, sparsity)
        out = np.full((m, n), np.nan, np.float32)
        assert pith.matmul(a, pith.dynamic(b), out=out, variant=variant) is out
        assert error(out, a, b) < TOLERANCE["float32"]


@pytest.mark.parametrize("way", [tiles.LIBRARY, tiles.OWN])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_ways(way, dtype):
    """The library's product and pith's own kernel, for operands that either takes as they are or not."""
    rng = np.random.default_rng(15)
    a, b = rng.standard_normal((67, 101)).astype(dtype), rng.standard_normal((101, 33)).astype(dtype)
    for x, y in ((a, b), (a, b.T.copy().T), (a[:, ::2], b[::2])):
        for product in (Product(x, y, "left"), Product(y, x, "right")):
            out = np.full((67, 33), np.nan, dtype)
            run_dense(product, out, way)
            assert error(out, x, y) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_element_types(dtype):
    rng = np.random.default_rng(2)
    a, b = sparse(rng, (50, 60), (1, 1), 0.9, dtype), rng.standard_normal((60, 20)).astype(dtype)
    for variant in ("auto", "1x1 in place"):
        out = pith.matmul(pith.dynamic(a), b, variant=variant)
        assert out.dtype == dtype and error(out, a, b) < TOLERANCE[dtype]


@pytest.mark.parametrize("granularity", ["auto", (32, 1), (1, 32), (1, 1), (64, 2), "rows", "columns"])
def test_chosen(granularity):
    """Whatever is declared, and whether it is true or not, the product is right."""
    rng = np.random.default_rng(3)
    b = rng.standard_normal((512, 512)).astype(np.float32)
    for tile, sparsity in (((32, 1), 0.95), ((1, 0), 0.9), ((1, 1), 0.99), ((1, 1), 0.0)):
        a = sparse(rng, (512, 512), tile, sparsity)
        assert error(pith.matmul(pith.dynamic(a, granularity), b), a, b) < TOLERANCE["float32"]
        assert error(pith.matmul(b, pith.dynamic(a, granularity)), b, a) < TOLERANCE["float32"]


def choice_of(a, b, granularity="auto"):
    product, _, declared = prepare(pith.dynamic(a, granularity), b)
    return product, dynamic_choice.choose(product, declared)


def test_the_choice_follows_the_pattern():
    rng = np.random.default_rng(4)
    b = rng.standard_normal((1024, 1024)).astype(np.float32)
    names = {}
    for what, tile, sparsity in (("full", (1, 1), 0.0), ("rows", (1, 0), 0.9), ("tall", (32, 1), 0.95)):
        names[what] = choice_of(sparse(rng, (1024, 1024), tile, sparsity), b)[1].decision.chosen.name
    assert names["full"] == "dense"
    assert names["rows"] == "rows"
    assert names["tall"] in ("4x1", "8x1", "16x1", "32x1")


def test_the_exact_count_may_still_say_dense(monkeypatch):
    """A sample that misleads costs a detection, not a product."""
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal((1024, 1024)).astype(np.float32) for _ in range(2))
    monkeypatch.setattr(dynamic_choice, "sampled_coverage", lambda x: dict.fromkeys(sampled_coverage(x), 0.99))
    product, choice = choice_of(a, b)
    assert choice.decision.chosen.name != "dense"
    out = product.result()
    assert dynamic_bound.run(product, choice, out, dynamic_bound.bind(product, choice)) == "dense"
    assert error(out, a, b) < TOLERANCE["float32"]


def test_new_patterns_compile_nothing():
    rng = np.random.default_rng(6)
    b = rng.standard_normal((1024, 256)).astype(np.float32)
    compiled = None
    for sparsity in (0.99, 0.97, 0.98, 0.985):
        a = sparse(rng, (1024, 1024), (32, 1), sparsity)
        pith.matmul(pith.dynamic(a), b, variant="8x1 in place")
        compiled = kernel_cache().stats.compiled if compiled is None else compiled
    assert kernel_cache().stats.compiled == compiled


def test_threshold():
    rng = np.random.default_rng(7)
    a, b = (rng.standard_normal((40, 40)).astype(np.float32) for _ in range(2))
    a[3, 4] = np.nan
    kept = np.where(np.abs(a) <= 1.0, 0, a)
    for variant in ("auto", "dense", "1x1", "rows"):
        out = pith.matmul(pith.dynamic(a, threshold=1.0), b, variant=variant)
        assert np.isnan(out[3]).all()
        rest = np.arange(40) != 3
        assert error(out[rest], kept[rest], b) < TOLERANCE["float32"]


def test_shapes():
    rng = np.random.default_rng(8)
    b = rng.standard_normal((8, 3)).astype(np.float32)
    a = sparse(rng, (30, 8), (1, 1), 0.5).reshape(5, 6, 8)
    assert np.allclose(pith.matmul(pith.dynamic(a), b, variant="1x1"), a @ b, atol=1e-5)
    assert np.allclose(pith.matmul(pith.dynamic(a[0]), b[:, 0]), a[0] @ b[:, 0], atol=1e-5)
    assert np.allclose(pith.matmul(a, pith.dynamic(b)), a @ b, atol=1e-5)
    assert np.allclose(pith.matmul(a[0, 0], pith.dynamic(b)), a[0, 0] @ b, atol=1e-5)
    assert np.allclose(pith.matmul(pith.dynamic(a[0].T.copy().T), b, variant="8x1"), a[0] @ b, atol=1e-5)
    for shape, n in (((0, 8), 3), ((4, 0), 3), ((4, 8), 0)):
        x, y = np.ones(shape, np.float32), np.ones((shape[1], n), np.float32)
        for variant in ("auto", "1x1", "rows"):
            assert np.array_equal(pith.matmul(pith.dynamic(x), y, variant=variant), x @ y)


def test_memory_of_the_result_may_be_an_operand():
    rng = np.random.default_rng(9)
    a, b = sparse(rng, (32, 32), (1, 1), 0.5), rng.standard_normal((32, 32)).astype(np.float32)
    want = a @ b
    for variant in ("dense", "1x1 in place"):
        x = b.copy()
        pith.matmul(pith.dynamic(a), x, out=x, variant=variant)
        assert np.allclose(x, want, atol=1e-4)


def test_operator():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(12)
    a, b = sparse(rng, (32, 32), (1, 1), 0.9), rng.standard_normal((32, 32)).astype(np.float32)
    for of in (np.asarray, torch.from_numpy):
        left, right = pith.dynamic(of(a)) @ of(b), of(b) @ pith.dynamic(of(a))
        assert type(left) is type(right) is type(of(b))
        assert error(np.asarray(left), a, b) < TOLERANCE["float32"]
        assert error(np.asarray(right), b, a) < TOLERANCE["float32"]
    with pytest.raises(pith.UnsupportedError, match="stored sparse"):
        pith.compress(a, "csr") @ pith.dynamic(b)


def test_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10)
    a, b = sparse(rng, (64, 64), (1, 1), 0.9), rng.standard_normal((64, 64)).astype(np.float32)
    out = pith.matmul(pith.dynamic(torch.from_numpy(a)), torch.from_numpy(b), variant="1x1")
    assert isinstance(out, torch.Tensor) and error(out.numpy(), a, b) < TOLERANCE["float32"]
    half = torch.from_numpy(a).bfloat16()
    out = pith.matmul(pith.dynamic(half), torch.from_numpy(b).bfloat16())
    assert out.dtype == torch.bfloat16


def test_explain():
    rng = np.random.default_rng(11)
    a, b = sparse(rng, (1024, 1024), (32, 1), 0.95), rng.standard_normal((1024, 1024)).astype(np.float32)
    lines = pith.explain(pith.dynamic(a), b).splitlines()
    assert lines[0] == "1024x1024 f32, dynamic (auto), times 1024x1024"
    assert lines[3].split() == ["candidate", "covered", "wasted", "predicted", "x"]
    assert any(line.split()[0] == "dense" for line in lines[4:-2]) and lines[4].startswith("*")
    assert lines[-1].startswith("runs ") and "as fast as dense" in lines[-1]
    small = pith.explain(b[:8, :8], pith.dynamic(a[:8, :8]), measure=True)
    assert "measured" in small and small.endswith("a sample takes longer than 5 % of the dense product")


def test_explain_shows_what_calls_have_measured():
    rng = np.random.default_rng(12)
    a, b = sparse(rng, (1024, 1024), (32, 1), 0.9), rng.standard_normal((1024, 1024)).astype(np.float32)
    marked = pith.dynamic(a)
    assert "calls on these operands" not in pith.explain(marked, b)
    pith.matmul(marked, b)
    known = last_of(key_of(marked, a, b, True))
    assert known is not None
    name = known.choice.decision.chosen.name
    known.trials.corrections[name] = 0.5
    *_, tried, verdict = pith.explain(marked, b).splitlines()
    predicted, measured = map(float, re.findall(r"ed ([0-9.]+)x", tried))
    assert tried.startswith(f"calls on these operands: {name} predicted")
    assert measured == pytest.approx(predicted / 2, abs=0.01) and verdict.startswith(f"runs {name}")
    known.trials.corrections[name] = 0.01
    assert pith.explain(marked, b).splitlines()[-1].endswith(f"{name} was measured to be slower")
    assert known.trials.corrections[name] == 0.01  # looking changes nothing


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda a: pith.dynamic([1.0]), pith.ArgumentError, "expects a dense array, got list"),
        (lambda a: pith.dynamic(a, "diagonal"), pith.ArgumentError, "got 'diagonal'"),
        (lambda a: pith.dynamic(a, (0, 1)), pith.FormatError, "expects a granularity >= 1"),
        (lambda a: pith.dynamic(a, threshold=-1.0), pith.ArgumentError, "expects a threshold >= 0"),
        (lambda a: pith.matmul(pith.dynamic(a), a[:3]), pith.ShapeError, "inner sizes differ"),
        (lambda a: pith.matmul(pith.dynamic(a), a[None]), pith.ShapeError, "expects a dynamic matrix"),
        (lambda a: pith.matmul(pith.dynamic(a), a.astype(np.float64)), pith.DTypeError, "of one floating-point type"),
        (lambda a: pith.matmul(pith.dynamic(a), a, variant="9"), pith.UnsupportedError, "no variant '9'"),
        (lambda a: pith.matmul(pith.dynamic(a), a, out=a[:2]), pith.ShapeError, "expects row-major float32"),
        (lambda a: pith.matmul(pith.dynamic(a), pith.compress(a, "csr")), pith.UnsupportedError, "stored sparse"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(np.eye(8, dtype=np.float32))


def test_decisions_are_kept_and_made_anew():
    """A buffer that is overwritten is noticed some calls later, and so are operands elsewhere."""
    forget_decisions()
    rng = np.random.default_rng(12)
    b = rng.standard_normal((1024, 512)).astype(np.float32)
    full, thin = rng.standard_normal((1024, 1024)).astype(np.float32), sparse(rng, (1024, 1024), (32, 1), 0.97)
    a, ran = np.empty_like(full), []
    for pattern in (full, *[thin] * 7, *[full] * 3):
        a[...] = pattern
        assert error(pith.matmul(pith.dynamic(a), b), a, b) < TOLERANCE["float32"]
        (known,) = dynamic_memory._MEMORY.values()
        ran.append(known.ran)
    assert ran[:2] == ["dense", "dense"] and ran[7] != "dense", ran
    assert ran[10] == "dense", ran
    for _ in range(2):
        pith.matmul(pith.dynamic(thin), b)
    assert [known.ran == "dense" for known in dynamic_memory._MEMORY.values()] == [True, False]


def test_new_arrays_of_a_layer_follow_its_decisions(monkeypatch):
    """Inputs that were never seen are sampled as seldom as one that is written to again, for the layer's shape only."""
    forget_decisions()
    rng, sampled = np.random.default_rng(17), []
    look = dynamic_choice.sampled_coverage
    monkeypatch.setattr(dynamic_choice, "sampled_coverage", lambda x: (sampled.append(x.shape), look(x))[1])
    b = rng.standard_normal((1024, 512)).astype(np.float32)
    inputs = [sparse(rng, (1024, 1024), (32, 1), 0.97) for _ in range(12)]
    for i, a in enumerate(inputs):
        x = np.asfortranarray(a) if i == 5 else a
        assert error(pith.matmul(pith.dynamic(x), b), a, b) < TOLERANCE["float32"]
    assert 1 <= len(sampled) <= 4, sampled
    other = np.concatenate([inputs[0], inputs[1]])
    pith.matmul(pith.dynamic(other), b)
    assert sampled[-1] == other.shape
    for _ in range(3):  # full ones are dense, and a layer that becomes so is noticed
        full = rng.standard_normal((1024, 1024)).astype(np.float32)
        assert error(pith.matmul(pith.dynamic(full), b), full, b) < TOLERANCE["float32"]
    assert [known.ran for known in dynamic_memory._BESIDE.values()].count("dense") == 1


def test_what_is_remembered_is_not_followed_into_the_operands():
    """A product that is known to be dense is run at once, but not where its result overwrites it."""
    forget_decisions()
    rng = np.random.default_rng(13)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    for _ in range(3):
        pith.matmul(pith.dynamic(a), b, out=out)
    assert error(out, a, b) < TOLERANCE["float32"]
    before = a.copy()
    assert error(pith.matmul(pith.dynamic(a), b, out=a), before, b) < TOLERANCE["float32"]
    a[...] = before
    room = np.empty(2 * a.size, np.float32)
    moved, result = room[: a.size].reshape(a.shape), room[a.size // 2 : -(a.size // 2)].reshape(a.shape)
    for _ in range(3):
        moved[...] = before
        assert error(pith.matmul(pith.dynamic(moved), b, out=result), before, b) < TOLERANCE["float32"]


def test_the_tile_database_is_measured(tmp_path):
    """What `pith bench --tiles` does, in small; what it writes is read again and decides."""
    settings = Settings(rounds=2, elements=("f32",), sides=("left",), extents=((64, 64, 64),))
    (table,) = measure_tiles(settings)
    tiles.write_tables(tmp_path / "tiles.json", [table])
    (again,) = tiles.read_tables((tmp_path / "tiles.json").read_text(), "tiles.json", "own")
    (measured,) = again.measured
    assert measured.table.extents == (64, 64, 64) and measured.table.dense > 0
    assert set(measured.table.rows) == set(TILES["left"]) == set(measured.ways)
    for row in measured.table.rows.values():
        assert list(row) == sorted(row, reverse=True)
    decision = tiles.decide_tiles(again, (64, 64, 64), dict.fromkeys(measured.table.rows, 0.99), 0.99)
    assert len(decision.candidates) == len(TILES["left"]) + 1


def test_operands_say_what_they_are_where_they_are_not_taken():
    a, w = np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32)
    assert repr(pith.dynamic(a)) == "<pith dynamic: 2x3 float32, granularity='auto', threshold=0.0>"
    assert "(32, 1)" in repr(pith.dynamic(granularity=(32, 1)))
    with pytest.raises(pith.ArgumentError, match="got Dynamic") as e:
        pith.linear(pith.dynamic(a), w)
    assert ".value" in e.value.hint
    with pytest.raises(pith.ArgumentError, match="got Ragged") as e:
        pith.attention(*[pith.Ragged(a, [2])] * 3)
    assert "lengths=" in e.value.hint


def test_small_products_are_looked_at_when_they_are_repeated(monkeypatch):
    """The first calls are dense without a look; then sparse operands are multiplied as such, on other values too."""
    forget_decisions()
    monkeypatch.setattr(dynamic_choice, "SMALL", 1.0)
    monkeypatch.setattr(dynamic_choice, "LEAST", 0.0)
    rng = np.random.default_rng(14)
    a, b = sparse(rng, (512, 512), (32, 1), 0.99), rng.standard_normal((512, 512)).astype(np.float32)
    out, ran = np.empty_like(a), []
    for _ in range(20):
        pith.matmul(pith.dynamic(a), b, out=out)
        assert error(out, a, b) < TOLERANCE["float32"]
        (known,) = dynamic_memory._MEMORY.values()
        ran.append(known.ran)
    assert set(ran[:9]) == {"dense"} and "dense" not in ran[9:] and known.span > 1
    a[...] = rng.standard_normal(a.shape)
    for _ in range(3):
        pith.matmul(pith.dynamic(a), b, out=out)
        assert error(out, a, b) < TOLERANCE["float32"]
    assert known.ran != "dense" and not known.left


def test_what_was_checked_of_other_arrays_is_not_taken_for_granted():
    """Decisions are kept by the identity of arrays, which arrays in other layouts may get when those are gone."""
    pytest.importorskip("torch")  # loaded, its product is taken
    forget_decisions()
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    out = np.empty((64, 64), np.float32)
    for _ in range(3):
        pith.matmul(pith.dynamic(x), y, out=out)
    (known,) = dynamic_memory._MEMORY.values()
    assert known.checked is not None
    for other in (x[::-1], np.asfortranarray(x)):
        key = dynamic_memory.key_of(pith.dynamic(other), other, y, True)
        assert key is not None
        dynamic_memory._MEMORY[key], known.left = known, 8
        assert error(pith.matmul(pith.dynamic(other), y, out=np.empty_like(out)), other, y) < TOLERANCE["float32"]
    for _ in range(2):
        known.left = 8
        pith.matmul(pith.dynamic(x), y, out=out)
    out.flags.writeable = False
    with pytest.raises(pith.ArgumentError, match="read-only"):
        pith.matmul(pith.dynamic(x), y, out=out)


def test_what_turns_out_slower_than_dense_is_not_run_again(monkeypatch):
    """A prediction that is 20 % in favour of single elements of a full matrix is compared with dense, and corrected."""
    forget_decisions()
    single = Candidate("1x1", 1e-3, micro_tile=(1, 1), way=tiles.IN_PLACE)
    said = dynamic_choice.Choice(Decision((single, Candidate("dense", 1.2e-3, way=tiles.LIBRARY))), None)
    monkeypatch.setattr(dynamic_choice, "choose", lambda *_: said)
    monkeypatch.setattr(Trials, "took", lambda self, seconds: setattr(self, "packed", 2e-3))
    monkeypatch.setattr(Trials, "time_dense", lambda self, run: (run(), setattr(self, "dense", 1e-3)))
    rng = np.random.default_rng(15)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))
    out, ran = np.empty_like(a), []
    for _ in range(10):
        pith.matmul(pith.dynamic(a), b, out=out)
        assert error(out, a, b) < TOLERANCE["float32"]
        (known,) = dynamic_memory._MEMORY.values()
        ran.append(known.ran)
    assert ran[:9] == ["1x1"] * 9 and ran[9] == "dense", ran
    assert known.trials.corrections["1x1"] == pytest.approx(0.5 / 1.2 * 1.05)


@pytest.mark.parametrize("faster", [False, True])
def test_dense_products_of_both_kinds_are_compared(faster, monkeypatch):
    """pith's kernel was predicted to be faster than the library's; what they take on these arrays decides."""
    pytest.importorskip("torch")
    forget_decisions()
    said = dynamic_choice.Choice(Decision((Candidate("dense", 1e-3, way=tiles.OWN),)), None)
    monkeypatch.setattr(dynamic_choice, "choose", lambda *_: said)
    took = Trials.took_densely
    monkeypatch.setattr(
        Trials, "took_densely", lambda self, library, seconds: took(self, library, 1 + 0.1 * (library != faster))
    )
    rng = np.random.default_rng(18)
    a, b = (rng.standard_normal((96, 96)).astype(np.float32) for _ in range(2))
    for _ in range(24):
        out = np.full_like(a, np.nan)
        pith.matmul(pith.dynamic(a), b, out=out)
        assert error(out, a, b) < TOLERANCE["float32"]
    (known,) = dynamic_memory._MEMORY.values()
    assert known.trials.knows_ways and (known.dense is dynamic_memory.library_layer) == faster


def test_micro_tiles_that_are_run_again_are_counted_but_not_timed(monkeypatch):
    forget_decisions()
    timed, took = [], Trials.took
    monkeypatch.setattr(Trials, "took", lambda self, seconds: (timed.append(seconds), took(self, seconds)))
    rng = np.random.default_rng(19)
    b = rng.standard_normal((1024, 512)).astype(np.float32)
    full, thin = (sparse(rng, (1024, 1024), (1, 0), sparsity) for sparsity in (0.0, 0.97))
    x, out = thin.copy(), np.empty((1024, 512), np.float32)
    for _ in range(40):
        out[...] = np.nan
        pith.matmul(pith.dynamic(x, "rows"), b, out=out)
        assert error(out, x, b) < TOLERANCE["float32"]
    (known,) = dynamic_memory._MEMORY.values()
    assert known.ran == "rows" and known.sure and known.left > 4, known
    assert 4 < len(timed) < 24
    pith.matmul(pith.dynamic(x, "rows"), b, out=out)
    before = len(timed)
    x[...] = full  # too much for micro-tiles
    pith.matmul(pith.dynamic(x, "rows"), b, out=out)
    assert error(out, x, b) < TOLERANCE["float32"] and known.left == 0
    x[...] = thin
    pith.matmul(pith.dynamic(x, "rows"), b, out=out)
    assert error(out, x, b) < TOLERANCE["float32"] and len(timed) == before


def test_dense_calls_that_are_run_again_do_not_keep_their_arrays():
    forget_decisions()
    rng = np.random.default_rng(16)
    x, y = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    out = np.empty_like(x)
    for _ in range(4):
        out[...] = np.nan
        pith.matmul(pith.dynamic(x), y, out=out)
        assert error(out, x, y) < TOLERANCE["float32"]
    with pytest.raises(ValueError, match="cannot resize"):
        x.resize((128, 128), refcheck=False)  # their memory stays where it is
    gone = weakref.ref(x)
    del x
    assert gone() is None


def test_one_call_that_is_interrupted_does_not_count():
    trials = Trials()
    for seconds in (9e-3, 1e-3, 1e-3, 1e-3, 9e-3, 1e-3, 1e-3):
        trials.took(seconds)
    assert 0.9e-3 < trials.packed < 1.1e-3
