"""Jobs in processes of their own: what a crash, a hang or a broken device costs."""

import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu.supervisor import supervise  # noqa: E402

#: A worker whose jobs say what happens to it.
WORKER = """
import json, os, sys, time
descriptor, jobs = int(sys.argv[1]), sys.argv[2:]
def tell(row):
    os.write(descriptor, json.dumps(row).encode() + b"\\n")
for job in jobs:
    tell({"begin": job})
    if job == "crash":
        print("what went wrong", file=sys.stderr, flush=True)
        os.abort()
    if job == "hang":
        time.sleep(60)
    tell({"job": job, "status": "ok", "process": os.getpid()})
    if job == "breaks the device":
        sys.exit(3)
"""


def run(tmp_path, jobs, seconds=60.0, job_seconds=30.0, worker=WORKER):
    path = tmp_path / "worker.py"
    path.write_text(textwrap.dedent(worker))
    rows = []
    supervise(jobs, [sys.executable, str(path)], rows.append, seconds, job_seconds)
    assert [row["job"] for row in rows] == jobs
    return rows


def test_all_jobs_in_one_process(tmp_path):
    rows = run(tmp_path, ["a", "b", "c"])
    assert {row["status"] for row in rows} == {"ok"} and len({row["process"] for row in rows}) == 1


def test_a_crash_costs_one_job(tmp_path):
    first, crashed, last = run(tmp_path, ["a", "crash", "b"])
    assert crashed["status"] == "failed" and "exit status -6" in crashed["message"]
    assert "what went wrong" in crashed["message"]
    assert first["status"] == last["status"] == "ok" and first["process"] != last["process"]


def test_a_hang_costs_one_job(tmp_path):
    hung, last = run(tmp_path, ["hang", "b"], job_seconds=2.0)
    assert hung["status"] == "failed" and "no sign of life for 2 s" in hung["message"] and last["status"] == "ok"


def test_a_broken_device_gets_a_new_process(tmp_path):
    broken, last = run(tmp_path, ["breaks the device", "b"])
    assert broken["status"] == last["status"] == "ok" and broken["process"] != last["process"]


def test_what_time_runs_out_on_is_told(tmp_path):
    first, cut, left = run(tmp_path, ["a", "hang", "b"], seconds=2.0)
    assert first["status"] == "ok" and cut["status"] == "not reached" and left["status"] == "not reached"
    assert "2 s were over" in left["message"]


def test_a_worker_that_cannot_start(tmp_path):
    rows = run(tmp_path, ["a", "b"], worker="import nothing_like_this")
    assert all(row["status"] == "failed" and "nothing_like_this" in row["message"] for row in rows)
