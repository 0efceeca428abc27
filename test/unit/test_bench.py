"""The benchmarks' own logic: what is compared with what, and what is written."""

import json
import math
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench import cli  # noqa: E402
from bench.cores import Cores  # noqa: E402
from bench.fresh import PROBES, ProbeFailed, run_probe  # noqa: E402
from bench.harness import Contest, Outcome, Timing, WrongResult, hold, relative_error  # noqa: E402
from bench.machine import NAMED, OtherLoad, lacking, machine_facts  # noqa: E402
from bench.records import Options, Report, Requirement, Table  # noqa: E402
from bench.report import SCHEMA, format_table, markdown, speed_table, write  # noqa: E402
from bench.suites import DEFAULT, SUITES, Suite, moe  # noqa: E402
from bench.sweep import Sweep  # noqa: E402

REFERENCE = np.array([1.0, 2.0])


class FakeTime:
    """A clock that moves only when a contestant runs, and a record of who ran."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def contestant(self, name, seconds, result=REFERENCE):
        durations = iter(seconds) if isinstance(seconds, list) else None

        def call():
            self.calls.append(name)
            self.now += next(durations) if durations else seconds
            return result

        return call


def contest(time, **seconds):
    return Contest("case", {n: time.contestant(n, s) for n, s in seconds.items()}, "base", REFERENCE, flops=4e9)


def test_medians_and_ratios():
    time = FakeTime()
    outcome = hold(contest(time, base=0.04, fast=0.01), rounds=5, clock=time)
    assert outcome.timings["fast"].median == pytest.approx(0.01)
    assert outcome.speedup("fast") == pytest.approx(4)
    assert outcome.speedup("base", "fast") == pytest.approx(0.25)
    assert len(outcome.timings["base"].samples) == 5


def test_ratios_are_taken_within_rounds():
    """A machine that slows down tenfold half-way changes the times, not the ratio."""
    time = FakeTime()
    warm = [0.01, 0.01]  # verification, calibration
    slowing = [0.01, 0.01, 0.01, 0.01, 0.1, 0.1]  # per round: one untimed call, one sample
    base = time.contestant("base", [2 * s for s in warm + slowing])
    ours = time.contestant("ours", warm + slowing)
    outcome = hold(Contest("case", {"base": base, "ours": ours}, "base", REFERENCE), rounds=3, clock=time)
    assert outcome.timings["ours"].samples == pytest.approx((0.01, 0.01, 0.1))
    assert outcome.speedup("ours") == pytest.approx(2)


def test_slow_contestants_sit_out_rounds():
    """Ratios are those of the rounds that both took part in."""
    time = FakeTime()
    taken = [0.4, 0.4]  # verification, calibration
    base = time.contestant("base", [*taken, 0.4, 0.8, 1.2])  # 0.4 s is too long for 11 rounds
    fast = time.contestant("fast", [0.01, 0.01, *(s for i in range(11) for s in (0.01, 0.01 * (1 + i)))])
    outcome = hold(Contest("case", {"base": base, "fast": fast}, "base", REFERENCE), rounds=11, clock=time)
    assert len(outcome.timings["fast"].samples) == 11
    assert outcome.timings["base"].samples == pytest.approx((0.4, 0.8, 1.2))  # rounds 0, 4 and 8
    assert outcome.speedup("fast") == pytest.approx(0.8 / 0.05)
    assert outcome.speedup("base", "fast") == pytest.approx(0.05 / 0.8)


def test_calls_of_seconds_are_timed_once():
    time = FakeTime()
    outcome = hold(contest(time, base=2.0, fast=0.01), rounds=11, clock=time)
    assert time.calls.count("base") == 2 and len(outcome.timings["base"].samples) == 1  # verification, the sample
    assert outcome.speedup("fast") == pytest.approx(200)


def test_long_calls_are_not_warmed_up():
    time = FakeTime()
    hold(contest(time, base=0.2, short=0.05), rounds=1, clock=time)
    assert time.calls[4:] == ["base", "short", "short"]  # after verification and calibration


def test_rounds_interleave_and_rotate():
    time = FakeTime()
    hold(contest(time, base=0.01, a=0.01, b=0.01), rounds=3, clock=time)
    rounds = time.calls[6:]  # after verification and calibration
    firsts = [rounds[i : i + 6 : 2] for i in range(0, 18, 6)]
    assert firsts == [["base", "a", "b"], ["a", "b", "base"], ["b", "base", "a"]]


def test_fast_contestants_are_called_often():
    time = FakeTime()
    tiny = 2.0**-17  # 132 of them are a millisecond
    outcome = hold(contest(time, base=0.25, tiny=tiny), rounds=1, clock=time)
    assert time.calls.count("tiny") == 3 + 132
    assert outcome.timings["tiny"].median == pytest.approx(tiny)


@pytest.mark.parametrize("result", [REFERENCE * 1.001, np.array([np.nan, 2.0]), np.ones(3)])
def test_wrong_results_are_not_timed(result):
    time = FakeTime()
    calls = {"base": time.contestant("base", 1.0), "bad": time.contestant("bad", 1.0, result)}
    with pytest.raises(WrongResult, match="case: bad is off by"):
        hold(Contest("case", calls, "base", REFERENCE), rounds=1, clock=time)
    assert time.calls == ["base", "bad"]


def test_relative_error():
    assert relative_error(np.array([1.0, 2.5]), REFERENCE) == pytest.approx(0.5 / math.sqrt(5))
    assert relative_error(np.zeros(2), np.zeros(2)) == 0
    assert relative_error(np.array([np.inf, 2.0]), REFERENCE) == math.inf


@pytest.mark.parametrize(
    ("measured", "limit", "at_least", "verdict"),
    [
        (9.9, 10, False, "PASS"),
        (10, 10, False, "MISS"),
        (0.97, 0.97, True, "PASS"),
        (0.96, 0.97, True, "MISS"),
        (None, 1, False, "NOT MEASURED"),
    ],
)
def test_verdicts(measured, limit, at_least, verdict):
    assert Requirement("r", measured, limit, "x", at_least).verdict == verdict


def test_written_files(tmp_path):
    time = FakeTime()
    outcome = hold(contest(time, base=0.2, ours=0.1), rounds=3, clock=time)
    report = Report("spmm", "A title", notes=["a note"])
    report.cases.append(outcome.to_json(threads=1))
    report.tables.append(speed_table("times", [outcome]))
    report.requirements.append(Requirement("fast", 2.0, 1.0, "x", at_least=True))
    path = write(report, machine_facts(), Options(threads=(1, 2)), tmp_path)
    data = json.loads(path.with_suffix(".json").read_text())
    assert path.name == f"{data['machine']['date'][:10]}-spmm.md"
    assert set(data) == {"schema", "suite", "title", "machine", "options", "requirements", "notes", "cases"}
    assert data["schema"] == SCHEMA and data["options"] == {"quick": False, "threads": [1, 2]}
    assert data["requirements"][0]["verdict"] == "PASS"
    ours = data["cases"][0]["contestants"]["ours"]
    assert ours["median_us"] == pytest.approx(1e5) and ours["speedup"] == pytest.approx(2)
    assert ours["gflops"] == pytest.approx(40) and len(ours["samples_us"]) == 3 and ours["error"] == 0
    text = path.read_text()
    assert "# A title" in text and "- a note" in text and "| case |" in text and "PASS" in text


def test_quick_reports_say_so():
    assert "not for quoting" in markdown(Report("s", "t"), machine_facts(), Options(quick=True))


def test_busy_machines_are_told():
    facts = {**machine_facts(), "cores": 2}
    assert "machine was busy" not in markdown(Report("s", "t"), {**facts, "busy_with_others": 0.1}, Options())
    assert "used 1.5 of 2 cores" in markdown(Report("s", "t"), {**facts, "busy_with_others": 1.5}, Options())


def test_own_work_is_not_the_others():
    others = OtherLoad()
    assert others.cores() is not None
    others._start = (0.0, 10.0, 8.0)
    others._now = lambda: (10.0, 25.0, 18.0)
    assert others.cores() == pytest.approx(0.5)


def test_reports_say_what_cores_compute_together():
    cores = Cores((1, 2))
    cores.sample()
    rates = cores.rates()
    assert list(rates) == ["1", "2"] and min(rates.values()) > 0.1
    assert f"{rates['1']} on 1, {rates['2']} on 2" in markdown(
        Report("s", "t"), {**machine_facts(), "multiply_adds": rates}, Options()
    )


def test_machine_facts():
    facts = machine_facts()
    assert facts["cores"] >= 1 and facts["cpu"] and len(facts["load_average"]) == 3
    assert facts["versions"]["numpy"] == np.__version__
    assert json.loads(json.dumps(facts)) == facts


def test_tables_without_rows():
    assert format_table(Table("t", ("a", "b"), ())).splitlines() == ["| a | b |", "|---|--:|"]


def test_suites_exist():
    assert set(DEFAULT) <= set(SUITES)
    for suite in SUITES.values():
        assert (ROOT / (suite.module.replace(".", "/") + ".py")).is_file()


def test_help_says_how_long_suites_take(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"{suite.seconds}" in said and suite.about in said for suite in SUITES.values() if suite.seconds)


def test_progress_is_shown_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(cli, "QUIET_SECONDS", 0.0)
    cli._Progress()("moe: a case")
    assert "s] moe: a case\n" in capsys.readouterr().err
    monkeypatch.undo()
    cli._Progress()("moe: another")
    assert not capsys.readouterr().err


def test_promises_for_other_machines_are_not_judged():
    assert Requirement("r", 3.0, 2.0, "x", True, "AMX").verdict == "not measurable here: needs AMX"
    assert {lacking(feature) for feature in NAMED} <= {"", *NAMED.values()}


def test_promises_that_the_peak_of_a_machine_does_not_allow():
    judged = [Requirement("r", got, 1.5, "x", True, reach=reach).verdict for got, reach in ((1.2, 1.6), (1.6, 1.4))]
    assert judged == ["MISS", "PASS"]


def test_mixtures_are_judged_where_the_peak_allows_it(monkeypatch):
    """Sorting takes 1.4 and 2 times the floor; a case is a miss where it takes twice that."""
    monkeypatch.setattr(moe, "lacking", lambda feature: {"amx_bf16": "AMX"}.get(feature, ""))
    sweep, cores = Sweep(Options(threads=(1,))), SimpleNamespace(peak=lambda threads: 1e9)
    for seconds in (1.4, 2.0):
        contest = Contest("c", {}, moe.GROUPED, np.zeros(1), flops=1e9)
        timings = {moe.PITH: Timing((seconds / 1.2,), 0.0), moe.GROUPED: Timing((seconds,), 0.0)}
        sweep.found[1].append(({"element": "bf16"}, Outcome(contest, timings)))
    verdicts = [r.verdict for r in moe._requirements(sweep, 1, "bf16", 1.5, cores)]
    assert verdicts == ["MISS", "out of reach here: the peak would give 1.4 x"]
    assert [r.verdict for r in moe._requirements(sweep, 1, "bf16", 1.5, None)] == ["MISS"]


@pytest.mark.parametrize(("text", "threads"), [("2,1,2", (1, 2)), ("4", (4,))])
def test_thread_lists(text, threads):
    assert cli._threads(text) == threads


@pytest.mark.parametrize("arguments", [["nonsense"], ["--threads", "0"], ["--threads", "a"]])
def test_bad_command_lines(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_a_failing_suite_is_reported(monkeypatch, capsys, tmp_path):
    """Its failure is told and costs the others nothing."""

    def broken(options, progress):
        raise WrongResult("off by 1")

    monkeypatch.setenv("PITH_CACHE_DIR", str(tmp_path))
    runs = {"spmm": broken, "hss": lambda options, progress: Report("hss", "Works")}
    monkeypatch.setattr(Suite, "load", lambda suite: runs[suite.module.rpartition(".")[2]])
    assert cli.main(["spmm", "hss", "--quick"]) == 1
    captured = capsys.readouterr()
    assert "bench spmm: WrongResult: off by 1" in captured.err and "# Works" in captured.out


def test_probes_run_in_processes_of_their_own():
    sample = run_probe("import_pith")
    assert sample["imports_ms"] > 0 and sample["loaded"] == []
    assert "import_pith" in PROBES


def test_failing_probes_say_why():
    with pytest.raises(ProbeFailed, match=r"memory: .*invalid literal"):
        run_probe("memory", "much")


def test_overhead_suite_runs(tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "bench", "overhead", "--quick", "--out", str(tmp_path / "out")]
    env = {**os.environ, "PITH_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("*-overhead.json")
    data = json.loads(path.read_text())
    names = [name for case in data["cases"] for name in case["contestants"]]
    assert "pith.matmul(A, x)" in names and "k(A, x, out)" in names
    assert all(r["verdict"] in ("PASS", "MISS") for r in data["requirements"])
    assert "cached k(A, x, out)" in done.stdout
