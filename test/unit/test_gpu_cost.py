"""The static model of GPUs: occupancy as NVIDIA's calculator has it, and decisions that follow from counting."""

import dataclasses
import math

import pytest
from pith.errors import UnsupportedError
from pith.passes.analysis.cost_model import break_even, cost_model
from pith.passes.analysis.tile_cost import LatencyTable, decide
from pith.passes.analysis.tile_tables import Measured, TileTable, Times, gpu_tables, write_tables
from pith.passes.analysis.workload import Workload
from pith.programs.chips import CHIPS
from pith.programs.occupancy import Occupancy, occupancy

MATMUL = ((0, 2), (2, 1), (0, 1))


def matmul(m=4096, n=4096, k=4096, sparsity=0.0, block=(32, 1), element=2):
    return Workload((m, n, k), MATMUL, (element,) * 3, 0, sparsity, block)


def candidates(work, chip="sm_90", axes=(0, 2)):
    model = cost_model(chip)
    return decide([model.dense(work), *(model.packed(work, a, t) for a in axes for t in model.tiles(work, a))])


@pytest.mark.parametrize(
    ("chip", "threads", "registers", "shared", "expected"),
    [
        ("sm_90", 1024, 32, 0, Occupancy(2, 64, "registers")),
        ("sm_90", 32, 16, 0, Occupancy(32, 32, "blocks")),
        ("sm_90", 256, 255, 0, Occupancy(1, 8, "registers")),
        ("sm_90", 128, 40, 227 * 1024, Occupancy(1, 4, "shared memory")),
        ("sm_80", 128, 40, 41 * 1024, Occupancy(3, 12, "shared memory")),
        ("sm_86", 512, 32, 0, Occupancy(3, 48, "threads")),
        ("sm_89", 128, 64, 100 * 1024, Occupancy(0, 0, "shared memory")),
        ("sm_90", 128, 256, 0, Occupancy(0, 0, "registers")),
    ],
)
def test_occupancy(chip, threads, registers, shared, expected):
    assert occupancy(CHIPS[chip], threads, registers, shared) == expected


def test_limits_of_chips_are_consistent():
    for name, chip in CHIPS.items():
        assert chip.max_shared_bytes + 1024 == chip.shared_per_sm, name
        assert chip.max_threads % 32 == 0 and chip.peak("f16") > chip.peak("f32") > chip.peak("f64") > 0
        assert chip.peak("i8") >= chip.peak("f16") >= chip.peak("tf32")


def test_data_sheet_peaks():
    """Dense rates that vendors print, in TFLOP/s."""
    assert CHIPS["sm_80"].peak("f16") == pytest.approx(312e12, rel=0.01)
    assert CHIPS["sm_80"].peak("i8") == pytest.approx(624e12, rel=0.01)
    assert dataclasses.replace(CHIPS["sm_90"], mma_share=1.0).peak("f16") == pytest.approx(989e12, rel=0.01)


def test_dense_competes_and_wins_where_nothing_is_empty():
    for chip in CHIPS:
        assert candidates(matmul(sparsity=0.0), chip).chosen.name == "dense", chip
        assert "dense" in [c.name for c in candidates(matmul(sparsity=0.99), chip).candidates]


def test_more_sparsity_never_costs_more():
    model = cost_model("sm_90")
    for axis in (0, 2):
        for tile in model.tiles(matmul(), axis):
            costs = [model.packed(matmul(), axis, tile, c).cost for c in (0.0, 0.5, 0.9, 0.99, 1.0)]
            assert costs == sorted(costs, reverse=True) and costs[-1] > 0


def test_high_sparsity_is_packed_along_its_blocks():
    chosen = candidates(matmul(sparsity=0.99, block=(32, 1))).chosen
    assert chosen.axis == 2 and chosen.micro_tile == (32, 1) and chosen.covered == 0.99
    chosen = candidates(matmul(sparsity=0.99, block=(1, 64))).chosen
    assert chosen.axis == 0 and chosen.micro_tile[0] == 1


def test_small_depth_keeps_dense_for_longer():
    """At (4096, 4096, 128) the product takes no longer than finding what is empty (PIT says so, too)."""
    assert candidates(matmul(k=128, sparsity=0.9)).chosen.name == "dense"
    assert candidates(matmul(k=4096, sparsity=0.9)).chosen.name != "dense"


def test_a_wave_more_costs_a_step():
    """One block more than fits takes another wave of its multiprocessors."""
    model = cost_model("sm_90")
    times = [model.dense(matmul(m=128 * n, n=128 * 132, k=4096)).cost for n in (2, 3, 4, 5)]
    assert times[1] - times[0] > 0 and times[3] - times[2] > 0
    assert times == sorted(times)


def test_break_even_separates():
    work, model = matmul(sparsity=0.9), cost_model("sm_90")
    chosen = candidates(work).chosen
    limit = break_even(work, model, chosen)
    assert 0.1 < limit < 1.0
    dense = model.dense(work).cost
    assert model.packed(work, chosen.axis, chosen.tile, 1.0 - limit + 0.01).cost <= dense
    assert model.packed(work, chosen.axis, chosen.tile, 1.0 - limit - 0.01).cost > dense


def test_candidates_say_what_they_cost():
    decision = candidates(matmul(sparsity=0.9))
    for candidate in decision.candidates:
        assert "blocks" in candidate.note and "waves" in candidate.note and "bound by" in candidate.note
    assert decision.chosen.note in decision.explain()


def test_tiles_of_tensor_cores():
    """Rows come in sixteens, whatever the sizes: a fragment has no fewer."""
    for tile in cost_model("sm_90").tiles(matmul(m=40, n=24, k=50), 2):
        assert all(extent % 16 == 0 for extent in tile)
    assert math.isfinite(cost_model("sm_90").dense(matmul(m=1, n=1, k=1)).cost)


def test_unknown_targets():
    with pytest.raises(UnsupportedError, match="no cost model for target 'sm_75'"):
        cost_model("sm_75")


# -- the tile database ------------------------------------------------------------------------

ROWS = {(32, 1): (4e-4, 2e-4, 1e-4), (1, 64): (5e-4, 3e-4, 0.5e-4)}


def database(chip="sm_90", element="f16", extents=(4096, 4096, 4096)):
    table = LatencyTable((0.0, 0.5, 0.9), ROWS, 3e-4, extents)
    ways = {tile: ("in place",) * 3 for tile in ROWS}
    return TileTable("NVIDIA H100", chip, 132, element, "left", (Measured(table, ways),), facts={"driver": "580"})


def test_a_database_speaks_of_its_chip_element_and_side():
    times = Times(database=(database(),))
    assert times.table(matmul(), "sm_90") is not None and times.table(matmul(), "sm_90a") is not None
    assert times.table(matmul(), "sm_80") is None and times.table(matmul(element=4), "sm_90") is None
    assert times.table(dataclasses.replace(matmul(), sparse_operand=1), "sm_90") is None


def test_the_nearest_problem_is_taken():
    large, small = database().measured[0], database(extents=(512, 512, 512)).measured[0]
    times = Times(database=(dataclasses.replace(database(), measured=(large, small)),))
    assert times.table(matmul(m=600, k=700, n=300), "sm_90") is small.table
    assert times.table(matmul(m=4096, k=8192), "sm_90") is large.table


def test_files_of_both_kinds(tmp_path):
    path = tmp_path / "gpu.tiles.json"
    write_tables(path, [database()])
    loaded = Times.load(str(path))
    assert loaded.single is None and loaded.table(matmul(), "sm_90").rows == ROWS
    assert "132 multiprocessors" in loaded.database[0].describe()


def test_what_is_shipped_was_measured_on_gpus():
    """Nothing is shipped before a GPU has run bench/gpu; then every table says on what and when."""
    for table in gpu_tables():
        assert table.is_gpu and table.cpu and {"date", "driver"} <= set(table.facts)
        assert all(m.table.rows for m in table.measured)
