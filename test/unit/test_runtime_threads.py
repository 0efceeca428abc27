"""How many threads kernels may get: what is no number of threads is an error, not a default."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pith
import pytest
from pith.runtime import num_threads, set_num_threads

ASK = "import pith; from pith.runtime import num_threads; print(num_threads())"


def ask(text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PITH_NUM_THREADS": text, "OMP_NUM_THREADS": "3"}
    return subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(("text", "threads"), [("2", "2"), ("", "3"), ("0", "3")])
def test_the_variable_is_read(text, threads):
    assert ask(text).stdout.strip() == threads


@pytest.mark.parametrize("text", ["abc", "-3", "1.5", "2000", "4 threads"])
def test_what_is_no_number_of_threads_is_an_error(text):
    done = ask(text)
    assert done.returncode
    assert f"pith.errors.ArgumentError: PITH_NUM_THREADS: expects 0 to 1024 threads, got {text!r}" in done.stderr


@pytest.mark.parametrize("threads", [-1, 1025, 1.5, "2", None])
def test_set_num_threads_refuses(threads):
    with pytest.raises(pith.ArgumentError, match="expects 0 to 1024 threads, got"):
        set_num_threads(threads)


def test_set_num_threads_takes_integers_of_numpy():
    set_num_threads(np.int64(2))
    try:
        assert num_threads() == 2
    finally:
        set_num_threads(0)


def test_a_library_that_the_variable_names_is_what_to_unset():
    environment = {**os.environ, "PITH_RUNTIME_LIBRARY": __file__}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment)
    assert "cannot be used" in done.stderr and "hint: unset PITH_RUNTIME_LIBRARY" in done.stderr
