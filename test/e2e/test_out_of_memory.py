"""Kernels that ask for memory that there is not: an error of the call, not the end of the process."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pith
import pytest
from pith.runtime import live_bytes

ZEROS = """
func.func @zeros(%n: index) -> tensor<?xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%n) : tensor<?xf32>
  %all = linalg.fill ins(%zero : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  return %all : tensor<?xf32>
}
"""

#: Four times 2^50, and what aligns them.
BYTES = r"45035996273\d{5}"

#: Every task wants memory of its own.
TASKS = """
import numpy as np, pith
kernel = pith.compile('''
func.func @tasks(%n: index, %out: memref<64xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %all = arith.constant 64 : index
  scf.parallel (%i) = (%zero) to (%all) step (%one) {
    %room = memref.alloc(%n) : memref<?xf32>
    %x = memref.load %room[%i] : memref<?xf32>
    memref.store %x, %out[%i] : memref<64xf32>
    memref.dealloc %room : memref<?xf32>
  }
  return
}''')
out = np.empty(64, np.float32)
kernel(64, out)
print("ran", flush=True)
kernel(1 << 50, out)
"""


def test_a_call_that_runs_out_of_memory_raises():
    kernel = pith.compile(ZEROS)
    before = live_bytes()
    for _ in range(3):
        with pytest.raises(MemoryError, match=rf"asked for {BYTES} bytes.*\n  hint: drop arrays, of which pith holds"):
            kernel(1 << 50)
    np.testing.assert_array_equal(kernel(5), np.zeros(5, np.float32))
    assert live_bytes() == before


def test_what_is_kept_for_reuse_is_given_back_before_a_call_fails():
    kernel = pith.compile(ZEROS)
    kernel(1 << 20)  # and its result is dropped
    assert pith.runtime.native.lib().pith_cached_bytes() > 0
    with pytest.raises(MemoryError):
        kernel(1 << 50)
    assert pith.runtime.native.lib().pith_cached_bytes() == 0


def test_a_task_that_runs_out_of_memory_ends_the_process_and_says_so():
    done = subprocess.run([sys.executable, "-c", TASKS], capture_output=True, text=True)
    assert done.stdout == "ran\n"
    assert done.returncode < 0
    assert re.search(f"a task asked for {BYTES} bytes in one piece", done.stderr)
