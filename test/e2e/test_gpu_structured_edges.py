"""Edges of products with structured weights on the emulated GPU: sizes, empty weights, what must not be read."""

import numpy as np
import pith
import pytest
from relative_error import error_of
from structured_programs import TOLERANCE, feed_of, random, reference, run, run_on, source, weight


@pytest.mark.parametrize("columns", [1, 8, 33, 150])
@pytest.mark.parametrize("transposed", [False, True])
def test_columns_of_the_dense_operand(columns, transposed):
    result, reference = run("V(32)C1(1:2)->C0(2:4)", (64, 80), transposed=transposed, columns=columns)
    assert error_of(result, reference) <= TOLERANCE["f32"]


LISTS = [("C0(*)", (50, 70)), ("M0->C0(*)", (40, 65)), ("C0->M0(*)", (40, 65))]


@pytest.mark.parametrize(("text", "shape"), LISTS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [8, 64])
def test_lists_expanded_on_request(text, shape, transposed, columns):
    """Flash-LLM's case: rows (or columns) that are lists, a skinny dense operand, tensor cores."""
    options = {"transposed": transposed, "expand": True}
    result, reference = run(text, shape, columns=columns, **options)
    assert error_of(result, reference) <= TOLERANCE["f32"]
    assert feed_of(source(text, shape, **options)) == "scanned"


EMPTY = ["B(16x16)C0(*)", "V(16)C1(*)->C0(2:4)", "C0(bitmask)", "B(4x4)C0(*)"]


@pytest.mark.parametrize("text", EMPTY)
def test_a_weight_that_holds_nothing(text):
    result, _ = run(text, (48, 96), density=0.0)
    assert not result.any()


@pytest.mark.parametrize("text", ["C0(2:4)", "V(16)C1(2:4)->C0(2:4)", "C1(4:4)->C0(4:4)", "C0(bitmask)"])
@pytest.mark.parametrize("shape", [(0, 64), (32, 0)])
def test_no_rows_or_nothing_to_sum(text, shape):
    result, reference = run(text, shape)
    assert result.shape == reference.shape and not result.any()


def test_no_columns():
    result, _ = run("C0(2:4)", (32, 64), columns=0)
    assert result.shape == (32, 0)


SKIPPED = [
    # format, elements of an entry, how many of four entries a row block keeps
    ("V(16)C1(2:4)->C0(2:4)", 4, 2),
    ("V(16)C1(2:4)->C0(4)", 4, 2),
    ("V(16)C1(1:4)->C0(4:8)", 8, 1),
    ("B(16x16)C0(*)", 16, 2),
]


@pytest.mark.parametrize(("text", "entry", "kept"), SKIPPED)
@pytest.mark.parametrize("transposed", [False, True])
def test_what_no_row_of_a_block_holds_is_not_read(text, entry, kept, transposed):
    """NaN and infinities where the stream skips do not get into sums."""
    rng = np.random.default_rng(5)
    held = np.arange(128) // entry % 4 < kept
    w = pith.prune(np.where(held, rng.standard_normal((32, 128)), 0).astype("f2"), pith.HSS.parse(text))
    x = rng.standard_normal((128, 9)).astype("f2")
    clean = reference(w, x, False)
    x[~held] = np.where(rng.random((int((~held).sum()), 9)) < 0.5, np.nan, np.inf)
    given = np.ascontiguousarray(x.T) if transposed else x
    result = run_on(w, given, text, "f32", transposed)
    assert error_of(result.T if transposed else result, clean) <= TOLERANCE["f32"]


def test_nan_and_infinities_that_are_held_get_through():
    w = np.zeros((16, 64), "f2")
    w[3, 5], w[7, 9] = np.inf, np.nan
    result = run_on(w, np.ones((64, 8), "f2"), "C0(2:4)", "f32", False)
    assert np.isinf(result[3]).all() and np.isnan(result[7]).all()
    assert not np.delete(result, (3, 7), 0).any()


DYNAMIC = ["V(16)C1(1:2)->C0(2:4)", "C0(2:4)", "C1(4:4)->C0(4:4)", "C0(bitmask)", "C1(3:4)->C0(2:4)"]


@pytest.mark.parametrize("text", DYNAMIC)
def test_sizes_that_only_run_time_knows(text):
    rng = np.random.default_rng(3)
    w, x = weight(rng, text, (48, 80), "f16"), random(rng, (80, 21), "f16")
    program = source(text, (48, 80)).replace("48x80x", "?x?x").replace("80x?x", "?x?x").replace("48x?x", "?x?x")
    program = program.replace("%e = tensor.empty(%n)", "%c0 = arith.constant 0 : index %m = tensor.dim %a, %c0 : A")
    encoded = program.split("%a: ")[1].split(", %b")[0]
    program = program.replace(" : A", f" : {encoded} %e = tensor.empty(%m, %n)")
    result = np.asarray(pith.compile(program, target="emulate:sm_90")(pith.compress(w, pith.HSS.parse(text)), x))
    assert error_of(result, reference(w, x, False)) <= TOLERANCE["f32"]


ASKED = [
    (
        "V(64)C1(2:8)->C0(2:4)",
        "128, 64, 64, 4, 1, 3",
        "expects tiles of rows that share a stream, 64 do, the tile has 128",
    ),
    ("V(64)C1(2:8)->C0(2:4)", "64, 64, 32, 4, 1, 3", "expects tiles of a multiple of 64 along k, got 32"),
]


@pytest.mark.parametrize(("text", "tile", "message"), ASKED)
def test_tiles_that_do_not_fit_the_format_are_refused(text, tile, message):
    program = source(text, (128, 256)).replace(" ins(%a, %b", f" {{pith.gpu_tile = array<i64: {tile}>}} ins(%a, %b")
    with pytest.raises(pith.PassError, match=message):
        pith.compile(program, target="emulate:sm_90")


@pytest.mark.parametrize("transposed", [False, True])
def test_tiles_that_were_asked_for(transposed):
    rng = np.random.default_rng(2)
    w, x = weight(rng, "V(64)C1(2:8)->C0(2:4)", (128, 256), "f16"), random(rng, (40, 256), "f16")
    program = source("V(64)C1(2:8)->C0(2:4)", (128, 256), transposed=transposed)
    program = program.replace(" ins(", " {pith.gpu_tile = array<i64: 32, 32, 128, 2, 2, 2>} ins(")
    kernel = pith.compile(program, target="emulate:sm_90")
    assert "tile 32 x 32 x 128, 2 stages" in kernel.program.launches[-1].note
    given = x if transposed else np.ascontiguousarray(x.T)
    result = np.asarray(kernel(pith.compress(w, pith.HSS.parse("V(64)C1(2:8)->C0(2:4)")), given))
    assert error_of(result, reference(w, given, transposed)) <= TOLERANCE["f32"]


@pytest.mark.parametrize("transposed", [False, True])
def test_bytes_in_lists(transposed):
    """Walked entry by entry, or expanded in tiles on request."""
    for expand in (False, True):
        options = {"element": "i8", "out": "i32", "transposed": transposed, "expand": expand}
        result, expected = run("C0(*)", (50, 70), **options)
        np.testing.assert_array_equal(result, expected)


def test_layers_of_a_model_take_structured_weights():
    """Bias and activation are computed on the sums of the sparse tensor cores, transposed or not."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    formats = {"0.weight": pith.HSS.parse("V(16)C1(2:4)->C0(2:4)"), "2.weight": pith.HSS.parse("C1(3:4)->C0(2:4)")}
    model = torch.nn.Sequential(torch.nn.Linear(160, 64), torch.nn.GELU(), torch.nn.Linear(64, 96)).half().eval()
    with torch.no_grad():
        for name, fmt in formats.items():
            kept = model.get_parameter(name)
            kept.copy_(torch.as_tensor(pith.prune(kept.detach(), fmt)))
        x = torch.randn(37, 160).half()
        kernel = pith.compile(model, (x,), target="emulate:sm_90", sparsity=formats)
        assert kernel.ir("gpu").count("lhs packed") + kernel.ir("gpu").count("rhs packed") == 2
        result, expected = torch.as_tensor(kernel(x)), model.float()(x.float())
    assert error_of(result.numpy(), expected.numpy()) <= TOLERANCE["f16"]
