"""The GPU benchmark's table of cases, and what its report says of rows."""

import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu.cases import CASES  # noqa: E402
from bench.gpu.peers_table import CUBLAS, PITH  # noqa: E402
from bench.gpu.report import markdown, requirements, write  # noqa: E402

FACTS = {"date": "2026-11-21T00:00:00+00:00", "device": "A GPU", "driver": "1.2", "target": "sm_90"}


def row(case, us=100.0, peer_us=350.0, **fields):
    """What a case that ran leaves."""
    times = {PITH: us, **dict.fromkeys(case.peers, peer_us)}
    contestants = {
        name: {"median_us": t, "pith_speedup": t / us, "way": "graph", "error": 0.0, "samples_us": [t]}
        for name, t in times.items()
    }
    row = {"job": f"case {case.name}", "case": case.name, "status": "ok", "error": 1e-4, "tolerance": 1e-3}
    return {**row, "flops": 1e9, "contestants": contestants, "refused": {}, **fields}


def named(name):
    return next(c for c in CASES if c.name == name)


def verdicts(rows):
    return {r.text: (r.measured, r.verdict) for r in requirements(rows)}


def test_cases_have_names_kernels_and_small_sizes():
    assert len({c.name for c in CASES}) == len(CASES)
    for case in CASES:
        assert all(ch.isalnum() or ch in "-_" for ch in case.kernel), case.kernel
        assert set(case.scaled().build) == set(case.build)
        assert all(need.peer in case.peers for need in case.needs), case.name
    asked = [c.asked for c in CASES]
    assert asked == sorted(asked, reverse=True), "what is promised comes first: time may run out"


def test_ratios_are_compared_with_what_is_asked():
    found = verdicts([row(named("pit-32x1-90")), row(named("hss-2:4"), us=400.0)])
    assert found[f"PIT 32x1, 90% empty, index build included: times {CUBLAS}"] == (3.5, "PASS")
    assert found[f"HSS 2:4: times {CUBLAS}"] == (0.875, "MISS")
    assert found[f"HSS V:2:8: times {CUBLAS}"] == (None, "NOT MEASURED")


def test_wrong_and_missing_peers_are_not_measured():
    case = named("hss-2:4")
    whole = row(case)
    whole["contestants"].pop(CUBLAS)
    assert verdicts([whole])[f"HSS 2:4: times {CUBLAS}"] == (None, "NOT MEASURED")
    assert verdicts([row(case, status="wrong")])[f"HSS 2:4: times {CUBLAS}"] == (None, "NOT MEASURED")


@pytest.mark.parametrize(("last", "verdict"), [(9.0, "PASS"), (60.0, "MISS")])
def test_degrees_fall_with_what_is_kept(last, verdict):
    degrees = [c for c in CASES if c.series]
    times = [*(100.0 - 8 * i for i in range(11)), last]
    rows = [row(c, us=t, flops=1e9 / (i + 1)) for i, (c, t) in enumerate(zip(degrees, times))]
    (found,) = [v for text, v in verdicts(rows).items() if "12 degrees" in text]
    assert len(degrees) == 12 and found[1] == verdict
    assert [v for t, v in verdicts(rows[:-1]).items() if "12 degrees" in t] == [(None, "NOT MEASURED")]


def test_launch_overhead_must_be_small():
    (text,) = [t for t in verdicts([]) if "launch overhead" in t]
    assert verdicts([row(named("call"), call_us=7.5)])[text] == (7.5, "PASS")
    assert verdicts([row(named("call"), call_us=8.5)])[text] == (8.5, "MISS")


def test_the_page_names_the_device_and_what_did_not_run(tmp_path):
    rows = [
        row(named("dense-4096-f16"), refused={"cuSPARSE": "no kernel"}),
        {
            "job": "case pit-32x1-50",
            "case": "pit-32x1-50",
            "status": "failed",
            "stage": "load",
            "message": "ptxas : bad",
        },
        {"job": "tiles 1x1x1", "status": "not reached", "message": "500 s were over"},
        {"job": "vectors fragments", "status": "ok", "vectors": {}, "refused": {"mma": "not on this chip"}},
    ]
    page = markdown(rows, FACTS)
    assert "device A GPU, driver 1.2" in page and "| dense-4096-f16 |" in page
    assert "failed at load: ptxas : bad" in page and "no kernel" in page and "500 s were over" in page
    assert "not on this chip" in page
    written = write(tmp_path, rows, FACTS)
    data = json.loads(written.with_suffix(".json").read_text())
    assert data["rows"] == rows and data["device"] == FACTS
    assert {r["verdict"] for r in data["requirements"]} <= {"PASS", "MISS", "NOT MEASURED"}
