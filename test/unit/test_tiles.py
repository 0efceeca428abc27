"""The tile database: what it decides, and what a file of it must be."""

import dataclasses

import pytest
from pith.errors import FileFormatError
from pith.passes.analysis.tile_cost import LatencyTable
from pith.tuning import tiles
from pith.tuning.tiles import IN_PLACE, PACKED, Measured, TileTable

SPARSITIES = (0.0, 0.5, 0.9)
ROWS = {(8, 1): (2.0, 1.0, 0.3), (1, 1): (4.0, 2.0, 0.5), (1, 0): (1.0, 0.5, 0.1)}
WAYS = {tile: (PACKED, IN_PLACE, IN_PLACE) for tile in ROWS}


def table(extents=(64, 64, 64), **fields):
    measured = Measured(LatencyTable(SPARSITIES, ROWS, 1.0, extents), WAYS)
    return TileTable("cpu", "avx2", 1, "f32", "left", (measured,), **fields)


def test_dense_is_always_a_candidate():
    for covered in (0.0, 0.5, 0.9, 1.0):
        decision = tiles.decide_tiles(table(), (64, 64, 64), dict.fromkeys(ROWS, covered), covered)
        assert "dense" in [c.name for c in decision.candidates]


def test_dense_runs_unless_something_gains_five_percent():
    coverage = {(8, 1): 0.5, (1, 1): 0.5}
    assert tiles.decide_tiles(table(), (64, 64, 64), coverage, 0.5).chosen.name == "dense"
    assert tiles.decide_tiles(table(), (64, 64, 64), {(8, 1): 0.6}, 0.6).chosen.name == "8x1"


@pytest.mark.parametrize(
    ("side", "deeper", "wider"), [("left", (64, 256, 64), (256, 64, 64)), ("right", (256, 64, 64), (64, 256, 64))]
)
def test_what_contracts_more_than_was_measured_has_to_promise_more(side, deeper, wider):
    measured, coverage = dataclasses.replace(table(), side=side), {(8, 1): 0.6}
    assert tiles.decide_tiles(measured, deeper, coverage, 0.6).chosen.name == "dense"
    assert tiles.decide_tiles(measured, wider, coverage, 0.6).chosen.name == "8x1"
    assert tiles.decide_tiles(measured, deeper, {(8, 1): 0.9}, 0.9).chosen.name == "8x1"


def test_times_scale_with_the_work_and_come_from_the_nearest_problem():
    small, large = table((64, 64, 64)).measured[0], table((512, 512, 512)).measured[0]
    both = dataclasses.replace(table(), measured=(small, large))
    assert both.nearest((60, 70, 100)) is small and both.nearest((512, 1024, 256)) is large
    decision = tiles.decide_tiles(both, (64, 64, 128), {(1, 0): 0.9}, 0.9)
    assert [c.cost for c in decision.candidates] == pytest.approx([0.2, 2.0])


def test_wasted_work_and_way():
    decision = tiles.decide_tiles(table(), (64, 64, 64), {(8, 1): 0.0, (1, 1): 0.95}, 0.95)
    by_name = {c.name: c for c in decision.candidates}
    assert by_name["8x1"].wasted == pytest.approx(0.95) and by_name["8x1"].way == PACKED
    assert by_name["1x1"].wasted == pytest.approx(0.0) and by_name["1x1"].way == IN_PLACE
    assert by_name["dense"].wasted == pytest.approx(0.95)


def test_of_micro_tiles_alike_the_largest_is_run():
    """Predicted within 15 % and covering the same; neither slower ones nor those that cover less."""
    rows = {(8, 1): (2.0, 0.55, 0.3), (1, 1): (4.0, 0.5, 0.1), (16, 1): (2.0, 0.9, 0.2)}
    measured = Measured(LatencyTable(SPARSITIES, rows, 1.0, (64, 64, 64)), dict.fromkeys(rows, (IN_PLACE,) * 3))
    alike = dataclasses.replace(table(), measured=(measured,))
    chosen = {share: tiles.decide_tiles(alike, (64, 64, 64), dict.fromkeys(rows, share), share) for share in (0.5, 0.9)}
    assert [decision.chosen.name for decision in chosen.values()] == ["8x1", "1x1"]
    assert [c.name for c in chosen[0.5].candidates] == ["8x1", "1x1", "16x1", "dense"]
    less = {(1, 1): 0.5, (8, 1): 0.49}
    assert tiles.decide_tiles(alike, (64, 64, 64), less, 0.5).chosen.name == "1x1"


def test_names():
    for tile in ROWS:
        assert tiles.tile_of(tiles.name_of(tile)) == tile
    assert tiles.tile_of("0x1") is None and tiles.tile_of("auto") is None


def test_file_round_trip(tmp_path):
    path = tmp_path / "x" / "tiles.json"
    tiles.write_tables(path, [table(facts={"date": "today"})])
    (again,) = tiles.read_tables(path.read_text(), "x", "shipped")
    assert again.origin == "shipped" and again.facts == {"date": "today"}
    assert again.measured[0].table == table().measured[0].table and dict(again.measured[0].ways) == WAYS
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("text", ["", "{}", '{"version": 99, "tables": []}', '{"version": 1, "tables": [{}]}'])
def test_other_files(text):
    with pytest.raises(FileFormatError, match=r"tile database|version 99"):
        tiles.read_tables(text, "x.json", "own")


def test_a_bad_file_of_the_user_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("PITH_CACHE_DIR", str(tmp_path))
    (tmp_path / "tiles.json").write_text("nonsense")
    tiles.forget_tables()
    try:
        with pytest.warns(RuntimeWarning, match="ignores your tile database"):
            tiles.known_tables()
    finally:
        tiles.forget_tables()


def test_shipped_tables_are_complete():
    """Every element type and side that `pith.dynamic` chooses for has one, and single elements lose at no sparsity."""
    shipped = [t for t in tiles.known_tables() if t.origin == "shipped"]
    assert {(t.element, t.side) for t in shipped} >= {(e, s) for e in ("f32", "f64") for s in ("left", "right")}
    for t in shipped:
        for m in t.measured:
            assert m.table.latency((1, 1), 0.0) > m.table.dense
            assert m.table.latency((1, 1), 0.99) < m.table.latency((1, 1), 0.0)


def test_another_processor_borrows_a_table():
    found = tiles.table_for("f32", "left", 1, "an abacus", "avx2")
    assert found is not None and found.origin == "foreign" and "another processor's" in found.describe()
    assert tiles.table_for("i16", "left", 1) is None


def test_a_processor_of_a_measured_microarchitecture_has_its_table():
    zen3 = tiles.table_for("f32", "left", 1, "AMD EPYC 7713 (family 25, model 1)", "avx2")
    assert zen3 is not None and zen3.origin != "foreign" and "(family 25, model 1)" in zen3.cpu
    zen4 = tiles.table_for("f32", "left", 1, "AMD EPYC 9654 (family 25, model 17)", "avx2")
    assert zen4 is not None and zen4.origin == "foreign" and zen4.isa == "avx2"


def test_the_dense_rival_is_the_faster_one_where_it_was_measured(tmp_path):
    (measured,) = table().measured
    own = dataclasses.replace(table(), measured=(dataclasses.replace(measured, dense_way=tiles.OWN),))
    tiles.write_tables(tmp_path / "tiles.json", [own, table()])
    again, library = tiles.read_tables((tmp_path / "tiles.json").read_text(), "tiles.json", "own")
    foreign = dataclasses.replace(again, origin="foreign")
    ways = [t.dense_way(t.measured[0]) for t in (again, library, foreign)]
    assert ways == [tiles.OWN, tiles.LIBRARY, tiles.LIBRARY]
    chosen = tiles.decide_tiles(again, (64, 64, 64), dict.fromkeys(ROWS, 0.0), 0.0).chosen
    assert (chosen.name, chosen.way) == ("dense", tiles.OWN)
