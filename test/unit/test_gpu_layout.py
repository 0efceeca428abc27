"""Tiles in shared memory: every pattern of access the kernels use meets each bank at most once. Banks are counted."""

import pytest
from banks import bank_conflicts, write_conflicts
from pith._mlir import ir
from pith.dialect import make_context
from pith.lowering.gpu.product.bodies import FmaBody
from pith.lowering.gpu.product.layout import layout_of
from pith.lowering.gpu.product.menu import FMA_MENU, MMA_MENU, TYPICAL, TileChoice, best
from pith.lowering.gpu.product.mma import MmaBody
from pith.lowering.gpu.product.tiles import tile_shape
from pith.programs.chips import CHIPS

LANES = range(32)


@pytest.fixture(autouse=True, scope="module")
def context():
    """For element types only: making one takes longer than most of these tests."""
    with make_context(), ir.Location.unknown():
        yield


def element_of(width):
    return {1: ir.IntegerType.get_signless(8), 2: ir.F16Type.get(), 4: ir.F32Type.get()}[width]


def shapes_of(choice, width, fast):
    body = MmaBody(choice.m, choice.n, choice.k_bytes // width, choice.warps, fast, width)
    element = element_of(width)
    return [shape for group in body.layout(element, element) for shape in group]


def matrix_conflicts(shape):
    """``ldmatrix``: one chunk of each of 8 rows, for every matrix of the tile."""
    rows, columns = shape.extents
    found = [
        bank_conflicts([shape.address(row + i, column) for i in range(8)], 16)
        for row in range(0, rows - 7, 8)
        for column in range(0, columns, shape.chunk)
    ]
    return max(found)


def word_conflicts(shape):
    """Lanes read words: 4 rows of k, 8 neighbours along the other role (tf32 with k as the slow role)."""
    rows, columns = shape.extents
    found = [
        bank_conflicts([shape.address(row + lane % 4, column + lane // 4) for lane in LANES], 4)
        for row in range(0, rows - 3, 4)
        for column in range(0, columns - 7, 8)
    ]
    return max(found)


@pytest.mark.parametrize("fast", [("k", "k"), ("m", "n")], ids=["along k", "across k"])
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("choice", MMA_MENU, ids=str)
def test_tensor_core_tiles(choice, width, fast):
    for shape in shapes_of(choice, width, fast):
        words = width == 4 and shape.roles[1] != "k"
        assert (word_conflicts if words else matrix_conflicts)(shape) == 0
        # Rows that are padded, not permuted, cost the writer of 128 bytes at most one more turn.
        assert write_conflicts(shape) <= (0 if shape.swizzle.bits else 1)
        assert len({shape.address(r, c) for r in range(shape.extents[0]) for c in range(shape.extents[1])}) == (
            shape.extents[0] * shape.extents[1]
        )


def test_the_count_can_be_wrong():
    """Rows of 128 bytes as they come: eight readers of one column meet one bank."""
    assert bank_conflicts([128 * row for row in range(8)], 16) == 7
    assert matrix_conflicts(tile_shape(("m", "k"), (64, 64), ir.F16Type.get(), 1)) == 0


@pytest.mark.parametrize("choice", MMA_MENU, ids=str)
def test_sums_are_deposited_without_conflicts(choice):
    shape = MmaBody(choice.m, choice.n, choice.k_bytes // 2, choice.warps).slab_shape()
    places = [shape.address(lane // 4, 2 * (lane % 4)) for lane in LANES]
    assert bank_conflicts(places, 8) == 0
    assert write_conflicts(shape) == 0 or choice.n % 32


@pytest.mark.parametrize("choice", FMA_MENU, ids=str)
def test_fma_tiles(choice):
    """A warp reads one vector along k for each of 16 columns, or neighbouring columns of one k."""
    k = choice.k_bytes // 4
    lhs, rhs = (g[0] for g in FmaBody(choice.m, choice.n, k, ("k", "k")).layout(ir.F32Type.get(), ir.F32Type.get()))
    for shape in (lhs, rhs):
        reads = [shape.address(lane, 0) for lane in range(16)]
        assert bank_conflicts(reads, 16) == 0 and write_conflicts(shape) == 0


@pytest.mark.parametrize("chunks", range(1, 33))
def test_any_row_has_a_layout(chunks):
    pitch, swizzle = layout_of(chunks)
    assert pitch >= chunks and pitch - chunks <= 1
    for column in range(chunks):
        assert len({(row * pitch + swizzle.place(row, column)) % 8 for row in range(8)}) == 8


def test_choices_follow_sizes():
    assert best(MMA_MENU, (1, 8192, 8192, 8192), 132).m * best(MMA_MENU, (1, 8192, 8192, 8192), 132).n == 128 * 256
    skinny = best(MMA_MENU, (1, 16, 4096, 8192), 132)
    assert skinny.m <= 32
    assert best(MMA_MENU, (1, -1, -1, -1), 132) == best(MMA_MENU, (1, TYPICAL, TYPICAL, TYPICAL), 132)
    for choice in MMA_MENU:
        assert choice.m % (16 * choice.warps[0]) == 0 and choice.n % (8 * choice.warps[1]) == 0
        assert isinstance(choice, TileChoice) and choice.m * choice.n // choice.threads <= 128


@pytest.mark.parametrize("choice", MMA_MENU, ids=str)
def test_multiprocessors_hold_eight_warps(choice):
    """Two blocks of four warps, or one of eight, fit into the shared memory of every chip's larger siblings."""
    shared = choice.stages * (choice.m + choice.n) * choice.k_bytes
    blocks = min(CHIPS[chip].shared_per_sm // (shared + 1024) for chip in ("sm_80", "sm_90", "sm_100"))
    assert blocks * choice.threads >= 256
