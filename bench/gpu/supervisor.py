"""Run jobs in a process of their own, so that a crash, a hang or a broken device costs one job."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

#: A job without a sign of life for so long is ended. Compilers of peers take the longest.
JOB_SECONDS = 120.0

#: Exit status by which a worker asks for a fresh process: its device is of no use any more.
BROKEN_DEVICE = 3

#: Bytes of what a dead worker wrote last.
_TAIL = 1500

#: Why a worker is ended that did nothing wrong.
_OVER = "was ended: time was over"


def supervise(
    jobs: Sequence[str],
    worker: Sequence[str],
    record: Callable[[dict[str, Any]], None],
    seconds: float,
    job_seconds: float = JOB_SECONDS,
) -> None:
    """Give ``jobs`` to workers until all have a row, in order; ``record`` gets every row as soon as it is there.

    A worker is started as ``worker FD JOB...`` and writes a line of JSON to the descriptor when it begins a job
    (``{"begin": job}``) and a row with ``"job"`` when it is done. When it dies or hangs, the job it was at gets a row
    with status ``failed`` and the others go to a new worker. After ``seconds`` what is left gets ``not reached``.
    """
    left, until = list(jobs), time.monotonic() + seconds
    while left and time.monotonic() < until:
        done = _Worker(worker, left).serve(record, until, job_seconds)
        left = [job for job in left if job not in done]
    for job in left:
        record({"job": job, "status": "not reached", "message": f"{seconds:.0f} s were over"})


class _Worker:
    """One process, and what it has told so far."""

    def __init__(self, command: Sequence[str], jobs: Sequence[str]):
        self._read, write = os.pipe()
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [*command, str(write), *jobs], pass_fds=[write], stdout=subprocess.DEVNULL, stderr=self._errors
        )
        os.close(write)
        self._jobs, self._done, self._current, self._pending = list(jobs), set[str](), "", b""

    def serve(self, record: Callable[[dict[str, Any]], None], until: float, job_seconds: float) -> set[str]:
        """Pass rows on until the worker ends; the jobs that have one."""
        why = ""
        with selectors.DefaultSelector() as ready:
            ready.register(self._read, selectors.EVENT_READ)
            while not why:
                patience = min(job_seconds, until - time.monotonic())
                if patience <= 0 or not ready.select(patience):
                    why = f"gave no sign of life for {job_seconds:.0f} s" if patience >= job_seconds else _OVER
                    self._process.kill()
                elif data := os.read(self._read, 1 << 16):
                    self._take(data, record)
                else:
                    why = "ended"
        code = self._process.wait()
        os.close(self._read)
        self._bury(why, code, record)
        return self._done

    def _take(self, data: bytes, record: Callable[[dict[str, Any]], None]) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "begin" in told:
                self._current = told["begin"]
            else:
                self._finish(told, record)

    def _finish(self, row: dict[str, Any], record: Callable[[dict[str, Any]], None]) -> None:
        self._done.add(row["job"])
        self._current = ""
        record(row)

    def _bury(self, why: str, code: int, record: Callable[[dict[str, Any]], None]) -> None:
        """A row for the job it was at; one that did not even begin has failed at its first."""
        said = _end_of(self._errors)
        if self._current or not self._done:
            job = self._current or self._jobs[0]
            status = "not reached" if why == _OVER else "failed"
            message = f"the process {why}, exit status {code}\n{said}".strip()
            self._finish({"job": job, "status": status, "stage": "process", "message": message}, record)


def _end_of(file: IO[bytes]) -> str:
    """The last of what was written to a file, which is closed."""
    with file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read().decode(errors="replace").strip()


def tell(descriptor: int, row: dict[str, Any]) -> None:
    """A worker's side: one line of JSON."""
    with open(descriptor, "ab", closefd=False) as file:
        file.write(json.dumps(row, default=str).encode() + b"\n")


def python(module: str, *options: str) -> list[str]:
    """The command of a worker that is a module."""
    return [sys.executable, "-m", module, *options]
