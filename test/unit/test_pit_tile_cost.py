"""The micro-tile selector against the published table and its stored decisions."""

import itertools
import json

import numpy as np
import pytest
from pith.errors import FileFormatError, FormatError
from pith.passes.analysis.tile_cost import LatencyTable, covered_sparsity
from pith.passes.analysis.tile_tables import decide_by_table
from pith.passes.analysis.workload import Workload

# 4096x4096x4096 fp32, dense 10.22 ms (PIT, SOSP 2023): latency in ms by micro-tile and covered sparsity.
TABLE = LatencyTable(
    sparsities=(0.0, 0.5, 0.8, 0.9, 0.95, 0.99),
    rows={
        (32, 1): (14.47, 7.52, 3.29, 1.755, 0.941, 0.387),
        (16, 1): (16.08, 11.02, 4.29, 2.497, 1.365, None),
        (8, 1): (28.91, 19.92, 8.29, 4.481, 2.344, None),
        (4, 1): (53.66, 43.87, 17.39, 8.786, 4.609, None),
    },
    dense=10.22,
    extents=(4096, 4096, 4096),
)

GOLDEN = [
    ((2, 1), 0.90, "dense"),
    ((2, 1), 0.95, "d2:16x1"),
    ((2, 1), 0.99, "d2:8x1"),
    ((4, 1), 0.90, "d2:16x1"),
    ((4, 1), 0.95, "d2:16x1"),
    ((4, 1), 0.99, "d2:16x1"),
    ((8, 1), 0.90, "d2:16x1"),
    ((8, 1), 0.95, "d2:8x1"),
    ((8, 1), 0.99, "d2:32x1"),
]


def decide(sparsity, block, table=TABLE):
    """The choice for a product of matrices (m, n, k), the left one sparse in blocks."""
    operands = ((0, 2), (2, 1), (0, 1))
    work = Workload(
        table.extents or (64, 64, 64), operands, (4, 4, 4), sparse_operand=0, sparsity=sparsity, block=block
    )
    return decide_by_table(table, work, packable=[0, 1, 2])


def measured_coverage(mask, tile):
    """Share of the tiles of a mask that are empty; tiles at the edges may be partial."""
    present = np.asarray(mask) != 0
    for axis, extent in enumerate(tile):
        present = np.maximum.reduceat(present, np.arange(0, present.shape[axis], extent), axis=axis)
    return 1.0 - present.mean()


@pytest.mark.parametrize("block,sparsity,choice", GOLDEN)
def test_stored_decisions(block, sparsity, choice):
    decision = decide(sparsity, block)
    assert decision.chosen.name == choice, decision.explain()


def test_sampled_mask_just_above_the_step():
    """8x1@0.95 was decided on a sampled mask whose sparsity lies just above the table's 0.95 column.

    Under a lookup that rounds the sparsity down to a column this is the whole decision: below 0.95 the
    8x1 row would be read at 0.90 and lose. Interpolation has no such step: 8x1 wins on both sides.
    """
    rng = np.random.default_rng(7)
    blocks = np.ones(4096, dtype=bool)
    blocks[rng.permutation(4096)[: int(4096 * 0.9502)]] = False
    mask = np.repeat(blocks.reshape(64, 64), 8, axis=0)
    coverage = {tile: measured_coverage(mask, tile) for tile in TABLE.rows}
    assert 0.95 < coverage[(8, 1)] < 0.951
    assert decide(coverage[(8, 1)], (8, 1)).chosen.name == "d2:8x1"

    def rounded_down(tile, covered):
        return TABLE.latency(tile, max(s for s in TABLE.sparsities if s <= covered))

    def winner(own):
        covers = {t: covered_sparsity(0.95, t, (8, 1)) for t in TABLE.rows} | {(8, 1): own, (4, 1): own}
        return min(TABLE.rows, key=lambda t: rounded_down(t, covers[t]))

    assert winner(0.9501) == (8, 1)
    assert winner(0.9499) == (16, 1)
    decision = decide(0.9499, (8, 1))
    assert decision.chosen.name == "d2:8x1", decision.explain()
    assert decision.candidates[1].name == "d2:16x1" and decision.candidates[1].cost < 1.1 * decision.chosen.cost


def test_dense_wins_ties_and_low_sparsity():
    assert decide(0.0, (1, 1)).chosen.name == "dense"
    table = LatencyTable((0.0, 0.5, 1.0), {(1, 1): (1.0, 1.0, 1.0)}, dense=1.0)
    assert decide(0.5, (1, 1), table).chosen.name == "dense"


def test_latency_is_monotonic_and_hits_the_cells():
    for tile, row in TABLE.rows.items():
        for s, value in zip(TABLE.sparsities, row):
            assert value is None or TABLE.latency(tile, s) == pytest.approx(value)
        curve = [TABLE.latency(tile, s) for s in np.linspace(0, 1, 101)]
        assert all(a >= b for a, b in itertools.pairwise(curve))
        assert min(curve) > 0


@pytest.mark.parametrize("tile", [(4, 1), (8, 1), (1, 4), (8, 8)])
@pytest.mark.parametrize("block", [(1, 1), (2, 1), (8, 4)])
def test_closed_form_agrees_with_sampling(tile, block):
    rng = np.random.default_rng(3)
    for sparsity in (0.5, 0.9):
        blocks = rng.random((1024 // block[0], 1024 // block[1])) >= sparsity
        mask = np.repeat(np.repeat(blocks, block[0], axis=0), block[1], axis=1)
        expected = covered_sparsity(sparsity, tile, block)
        assert measured_coverage(mask, tile) == pytest.approx(expected, abs=0.02)


def test_ragged_coverage():
    mask = np.zeros((5, 7))
    mask[4, 6] = np.nan
    assert measured_coverage(mask, (2, 4)) == pytest.approx(5 / 6)


def test_table_files(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(
        json.dumps({"dense": 3, "sparsities": [0, 0.5, 0.9], "rows": {"32x1": [4, 2, 1]}, "extents": [64, 64, 64]})
    )
    table = LatencyTable.load(path)
    assert table.rows == {(32, 1): (4, 2, 1)} and table.extents == (64, 64, 64)
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="not a latency table"):
        LatencyTable.load(path)
    with pytest.raises(FileFormatError, match="nowhere"):
        LatencyTable.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "sparsities,rows,message",
    [
        ((0.5, 0.0, 0.9), {(1, 1): (1.0, 1.0, 1.0)}, "ascending"),
        ((0.0, 0.5, 0.9), {(1, 1): (1.0, 1.0)}, "expects 3 cells"),
        ((0.0, 0.5, 0.9), {(1, 1): (1.0, None, 1.0)}, "expects 3 cells"),
        ((0.0, 0.5, 0.9, 0.95), {(1, 1): (1.0, 1.0, 1.0, None)}, "without missing cells"),
    ],
)
def test_malformed_tables(sparsities, rows, message):
    with pytest.raises(FormatError, match=message):
        LatencyTable(sparsities, rows, dense=1.0)
