"""The GPU benchmark's package: made here, run where there is no compiler, on a stand-in for a device."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tarfile

import pytest

torch = pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from gpu_machine import MISSING, equip  # noqa: E402
from pith._mlir import ir  # noqa: E402
from pith.dialect import make_context  # noqa: E402
from pith.lowering.gpu import compile_ptx  # noqa: E402
from pith.lowering.gpu.product import plan  # noqa: E402
from pith.lowering.targets import GpuTarget  # noqa: E402
from pith.passes.analysis.tile_cost import LatencyTable  # noqa: E402
from pith.passes.analysis.tile_tables import Measured, TileTable, Times, dense_tiles, read_tables  # noqa: E402
from pith.passes.analysis.workload import Workload  # noqa: E402

from bench.gpu import check, tiles  # noqa: E402
from bench.gpu.cases import CASES  # noqa: E402
from bench.gpu.kernels import Emulated, NotBuiltError  # noqa: E402
from bench.gpu.measure import Settings  # noqa: E402
from bench.gpu.pack import ROOT as FOLDER  # noqa: E402
from bench.gpu.pack import pack  # noqa: E402
from bench.gpu.programs import program  # noqa: E402
from bench.gpu.timing import HostClock  # noqa: E402


@pytest.fixture(scope="module")
def machine(tmp_path_factory, monkeypatch_module):
    """A package of a few small kernels, unpacked on a GPU machine."""
    folder = tmp_path_factory.mktemp("package")
    manifest = pack(
        folder / "p.tar.gz",
        "sm_90",
        ["call", "hss-2:4", "detect-32x1", "sddmm-f32", "vectors"],
        lambda text: None,
        True,
    )
    assert not [name for name, entry in manifest["kernels"].items() if "error" in entry]
    with tarfile.open(folder / "p.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def monkeypatch_module(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PITH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield patch


@pytest.fixture(scope="module")
def results(machine):
    """What the runner wrote, and what it printed."""
    command = [
        sys.executable,
        str(machine / FOLDER / "run.py"),
        "cases",
        "vectors",
        "-o",
        str(machine / "out"),
        "--device",
        "cpu",
    ]
    options = [
        "--only",
        "call",
        "--only",
        "detect-32x1",
        "--only",
        "hss-2:4",
        "--only",
        "moe-skew0.0",
        "--only",
        "sddmm",
    ]
    done = subprocess.run([*command, *options], env=equip(machine / "site"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((machine / "out" / "gpu.json").read_text()), (machine / "out" / "gpu.md").read_text(), done.stdout


def rows(results):
    return {row["case"]: row for row in results[0]["rows"] if "case" in row}


def test_a_right_kernel_is_timed_beside_its_peers(results):
    row = rows(results)["call"]
    assert row["status"] == "ok" and row["error"] < 1e-6
    assert set(row["contestants"]) == {"pith", "cuBLAS (torch.matmul)"}
    assert len(row["contestants"]["pith"]["samples_us"]) == 15
    assert row["call_us"] > 0


def test_a_kernel_that_does_nothing_is_wrong_and_not_timed(results):
    row = rows(results)["hss-2:4"]
    assert row["status"] == "wrong" and row["error"] == float("inf")
    assert "contestants" not in row


def test_sparse_results_are_read(results):
    """Of a sparse tensor that stays on the device its values."""
    row = rows(results)["sddmm-f32"]
    assert row["status"] == "wrong" and 0 < row["error"] < float("inf")


def test_fragments_are_recorded(results, machine):
    rows = [row for row in results[0]["rows"] if row["job"].startswith("vectors ")]
    recorded = json.loads((machine / "out" / "vectors-sm_90.json").read_text())["vectors"]
    assert [row["job"] for row in rows] == ["vectors fragments", "vectors warpgroups"]
    assert all(row["status"] == "ok" and row["vectors"].items() <= recorded.items() for row in rows)
    assert "ldmatrix.x4.trans" in recorded and any("wgmma" in name for name in recorded)


def test_a_kernel_that_is_not_there_is_a_row(results):
    row = rows(results)["moe-skew0.0"]
    assert row["status"] == "failed" and row["stage"] == "load" and "not in this package" in row["message"]


def test_every_requirement_is_a_row(results):
    data, page, printed = results
    verdicts = {r["text"]: r["verdict"] for r in data["requirements"]}
    assert verdicts["launch overhead of a call from Python"] in ("PASS", "MISS")
    assert sum(v == "NOT MEASURED" for v in verdicts.values()) > 20
    for text in (
        "PIT 32x1, 99% empty",
        "HSS V:2:16",
        "HSS 2:4 against cuSPARSELt",
        "detection at 32x1",
        "MoE",
        "12 degrees",
    ):
        assert any(text in t for t in verdicts), text
    assert page in printed and all(text in page for text in verdicts)
    assert data["device"]["target"] == "sm_90" and data["device"]["date"]


def test_the_package_needs_no_compiler(machine):
    """Nothing of what a GPU machine lacks is there, and pith is the packed one."""
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import bench.gpu.worker, pith, pith.runtime.cuda\n"
        f"assert not any(m.partition('.')[0] in {MISSING} for m in sys.modules)\n"
        "assert pathlib.Path(pith.__file__).is_relative_to(sys.argv[1]), pith.__file__"
    )
    command = [sys.executable, "-c", code, str(machine / FOLDER)]
    done = subprocess.run(command, env=equip(machine / "site"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_small_package_travels(machine):
    assert (machine / "p.tar.gz").stat().st_size < 8 << 20
    assert (machine / FOLDER / "README.md").is_file()


def test_every_program_is_one():
    """Packing takes minutes; that a program does not parse any more shows at once."""
    with make_context():
        for case in CASES:
            assert ir.Module.parse(program(case.family, case.build)).operation.verify(), case.name


def test_cases_run_under_emulation(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PITH_CACHE_DIR", str(tmp_path))
    assert check.main(["--only", "call", "--only", "detect-1x64"]) == 0
    assert capsys.readouterr().out.count("ok ") == 2


class _Incomplete(Emulated):
    """A package that lacks the kernel of one micro-tile."""

    def kernel(self, case):
        if case.build.get("block") == (3, 3):
            raise NotBuiltError("no such kernel")
        return super().kernel(case)


def test_a_tile_database_is_measured_written_and_used(tmp_path, monkeypatch):
    """Products over micro-tiles, checked and raced; the file is what the passes read."""
    monkeypatch.setenv("PITH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tiles, "TILES", ((32, 1), (1, 0), (3, 3)))
    monkeypatch.setattr(tiles, "SPARSITIES", (0.0, 0.5, 0.9))
    monkeypatch.setattr(tiles, "_ROUNDS", 1)
    settings = Settings(torch.device("cpu"), HostClock())
    row = {"job": "tiles 40x56x24", **tiles.measure_tiles("40x56x24", _Incomplete("sm_90"), settings)}
    assert row["status"] == "ok" and set(row["measured"]["rows"]) == {"32x1", "1x0"}, row
    assert "no such kernel" in row["refused"]["3x3"]
    path = tiles.write_database(tmp_path, [row], {"device": "A GPU, none", "target": "sm_90", "driver": "580"})
    (table,) = read_tables(path.read_text(), path.name, "own")
    assert path.name == "a-gpu--none.tiles.json" and table.is_gpu and table.facts["driver"] == "580"
    work = Workload((40, 24, 56), ((0, 2), (2, 1), (0, 1)), (2, 2, 2), 0, 0.9, (32, 1))
    assert Times(None, (table,)).table(work, "sm_90") is table.measured[0].table
    known = dense_tiles([table], "sm_90", 2, (60, 40, 30))
    assert set(known) == {(64, 64, 128, 2, 2, 4), (32, 32, 128, 2, 2, 4)} and min(known.values()) > 0
    assert not dense_tiles([table], "sm_90", 2, (4096, 4096, 4096)), "too far from what was measured"
    for times in table.measured[0].table.rows.values():
        assert list(times) == sorted(times, reverse=True)


def test_measured_tiles_decide_the_dense_kernel(monkeypatch):
    """The fastest tile of a measured problem near enough; without one the model on paper."""
    latencies = LatencyTable((0.0, 0.5, 0.9), {(32, 1): (3.0, 2.0, 1.0)}, 1.0, (4096, 4096, 4096))
    times = {(64, 64, 128, 2, 2, 3): 1e-4, (128, 256, 64, 2, 4, 4): 2e-4}  # two of the menu
    table = TileTable("A GPU", "sm_90", 132, "f16", "left", (Measured(latencies, {(32, 1): ("in place",) * 3}, times),))

    def tile(size, element="f16"):
        source = program("dense", {"m": size, "n": size, "k": size, "element": element})
        with make_context(), ir.Location.unknown():  # not through pith.compile, whose cache knows the shipped times
            (launch,) = compile_ptx(ir.Module.parse(source), GpuTarget("sm_90")).program.launches
        return launch.note.split(",")[0]

    before = tile(4096), tile(512)
    monkeypatch.setattr(plan, "gpu_tables", lambda: (table,))
    assert tile(4096) == "tile 64 x 64 x 64" != before[0]
    assert tile(4096, "bf16") == "tile 64 x 64 x 64", "bf16 takes as long as f16"
    assert tile(512) == before[1], "too far from what was measured"
