"""Parallel regions: correct on torch's pool, on the own pool, from several threads, and after fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pith
import pytest
from pith.runtime import MemRefSpec, NativeFunction, ScalarSpec, Signature, num_threads, set_num_threads, take_failure

from test_runtime_call import ENTRY, build  # isort: skip

REDUCTIONS = {
    "addf": ("f32", "arith.addf %a, %b : f32", 0.0),
    "mulf": ("f32", "arith.mulf %a, %b : f32", 1.0),
    "addi": ("i32", "arith.addi %a, %b : i32", 0),
    "ori": ("i32", "arith.ori %a, %b : i32", 0),
}


def reduction(name: str) -> NativeFunction:
    dtype, combine, initial = REDUCTIONS[name]
    text = f"""
    func.func @reduce(%x: memref<?x{dtype}>) -> {dtype} {ENTRY} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %init = arith.constant {initial} : {dtype}
      %n = memref.dim %x, %c0 : memref<?x{dtype}>
      %r = scf.parallel (%i) = (%c0) to (%n) step (%c1) init(%init) -> {dtype} {{
        %v = memref.load %x[%i] : memref<?x{dtype}>
        scf.reduce(%v : {dtype}) {{
        ^bb0(%a: {dtype}, %b: {dtype}):
          %s = {combine}
          scf.reduce.return %s : {dtype}
        }}
      }}
      return %r : {dtype}
    }}"""
    return build(text, Signature("reduce", (MemRefSpec(dtype, (-1,), "x"),), (ScalarSpec(dtype),)))[0]


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    set_num_threads(request.param)
    yield request.param
    set_num_threads(0)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 1000, 4099])
def test_float_sum(size, threads):
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    want = x.astype(np.float64).sum()
    assert abs(reduction("addf")(x) - want) <= 1e-5 * max(1.0, np.abs(x).sum())


@pytest.mark.parametrize("name", ["mulf", "addi", "ori"])
def test_other_reductions(name, threads):
    x = np.random.default_rng(1).integers(1, 4, 19).astype(np.float32 if name == "mulf" else np.int32)
    want = {"mulf": np.prod, "addi": np.sum, "ori": np.bitwise_or.reduce}[name](x)
    assert reduction(name)(x) == want


def test_reductions_repeat_bit_for_bit(threads):
    function = reduction("addf")
    x = np.random.default_rng(5).standard_normal(10_007).astype(np.float32)
    assert len({function(x) for _ in range(50)}) == 1


OMP = f"""
func.func @dynamic(%x: memref<?xi32>, %chunk: i64) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1 : i32
  %n = memref.dim %x, %c0 : memref<?xi32>
  omp.parallel {{
    scf.for %round = %c0 to %c20 step %c1 {{
      omp.wsloop schedule(dynamic = %chunk : i64) {{
        omp.loop_nest (%i) : index = (%c0) to (%n) step (%c1) {{
          %v = memref.load %x[%i] : memref<?xi32>
          %w = arith.addi %v, %one : i32
          memref.store %w, %x[%i] : memref<?xi32>
          omp.yield
        }}
      }}
    }}
    omp.terminator
  }}
  return
}}
""".replace("%one =", "%c20 = arith.constant 20 : index\n  %one =")


@pytest.mark.parametrize("schedule", ["dynamic", "guided", "static"])
@pytest.mark.parametrize("chunk", [1, 7])
@pytest.mark.parametrize("size", [0, 1, 100, 1001])
def test_schedules_visit_every_iteration_once(schedule, chunk, size, threads):
    (f,) = build(
        OMP.replace("schedule(dynamic", f"schedule({schedule}"),
        Signature("dynamic", (MemRefSpec("i32", (-1,), "x", writable=True), ScalarSpec("i64"))),
    )
    x = np.zeros(size, np.int32)
    f(x, chunk)
    np.testing.assert_array_equal(x, 20)


SYNCHRONISED = f"""
func.func @count(%x: memref<4xi64>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c100 = arith.constant 100 : index
  %one = arith.constant 1 : i64
  omp.parallel {{
    scf.for %round = %c0 to %c100 step %c1 {{
      omp.critical {{
        func.call @bump(%x, %c0) : (memref<4xi64>, index) -> ()
        omp.terminator
      }}
      omp.single {{
        func.call @bump(%x, %c1) : (memref<4xi64>, index) -> ()
        omp.terminator
      }}
      omp.master {{
        func.call @bump(%x, %c2) : (memref<4xi64>, index) -> ()
        omp.terminator
      }}
    }}
    omp.barrier
    omp.parallel {{
      omp.critical {{
        func.call @bump(%x, %c3) : (memref<4xi64>, index) -> ()
        omp.terminator
      }}
      omp.terminator
    }}
    omp.terminator
  }}
  return
}}
func.func private @bump(%x: memref<4xi64>, %i: index) {{
  %one = arith.constant 1 : i64
  %v = memref.load %x[%i] : memref<4xi64>
  %w = arith.addi %v, %one : i64
  memref.store %w, %x[%i] : memref<4xi64>
  return
}}
"""


def test_critical_single_master_and_nested_regions(threads):
    (f,) = build(SYNCHRONISED, Signature("count", (MemRefSpec("i64", (4,), "x", writable=True),)))
    x = np.zeros(4, np.int64)
    f(x)
    np.testing.assert_array_equal(x, [100 * threads, 100, 100, threads])


def test_regions_under_a_condition(threads):
    text = f"""
    func.func @count(%wide: i1, %x: memref<1xi64>) {ENTRY} {{
      %c0 = arith.constant 0 : index
      %one = arith.constant 1 : i64
      omp.parallel if(%wide) {{
        omp.critical {{
          %v = memref.load %x[%c0] : memref<1xi64>
          %w = arith.addi %v, %one : i64
          memref.store %w, %x[%c0] : memref<1xi64>
          omp.terminator
        }}
        omp.terminator
      }}
      return
    }}"""
    (f,) = build(text, Signature("count", (ScalarSpec("i1", "wide"), MemRefSpec("i64", (1,), "x", writable=True))))
    for wide, members in ((True, threads), (False, 1), (np.True_, threads)):
        x = np.zeros(1, np.int64)
        f(wide, x)
        assert x[0] == members


CHECKED = """
func.func @checked(%x: memref<?xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %none = arith.constant 0.0 : f32
  %n = memref.dim %x, %zero : memref<?xf32>
  scf.parallel (%i) = (%zero) to (%n) step (%one) {
    %v = memref.load %x[%i] : memref<?xf32>
    %ok = arith.cmpf oge, %v, %none : f32
    cf.assert %ok, "an element is negative"
    scf.reduce
  }
  return
}
"""


@pytest.mark.parametrize("threads", [1, 4], indirect=True)
def test_a_failing_check_is_told_to_the_thread_that_called(threads):
    kernel = pith.compile(CHECKED)
    bad, good = np.full(100_000, -1, np.float32), np.ones(100_000, np.float32)
    native, seen = kernel.native, {}

    def call(name: str, array: np.ndarray, before: threading.Event, after: threading.Event) -> None:
        before.wait(60)
        native(array)
        after.set()
        done.wait(60)
        seen[name] = take_failure()

    start, between, done = threading.Event(), threading.Event(), threading.Event()
    first = threading.Thread(target=call, args=("bad", bad, start, between))
    second = threading.Thread(target=call, args=("good", good, between, done))
    for thread in (first, second):
        thread.start()
    start.set()
    for thread in (second, first):
        thread.join()
    assert seen["good"] == 0 and seen["bad"] != 0
    with pytest.raises(pith.CheckError, match="an element is negative"):
        kernel(bad)
    kernel(good)


def test_regions_from_several_threads_at_once():
    function = reduction("addi")
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).integers(-9, 9, 3000 + seed).astype(np.int32)
        for _ in range(200):
            if function(x) != x.sum():
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


PROLOGUE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from pith.runtime import native
def threads(): return len(os.listdir("/proc/self/task"))
def check(f):
    for n in (0, 1, 999, 5000):
        x = np.arange(n, dtype=np.int32)
        assert f(x) == x.sum(), n
"""

OWN_POOL = (
    PROLOGUE
    + """
from test_runtime_parallel import reduction
f = reduction("addi")
before = threads()
native.set_num_threads(4)
check(f)
assert "torch" not in sys.modules and native.openmp_path() == "", native.openmp_path()
assert threads() == before + 3, (before, threads())
for _ in range(200): check(f)
assert threads() == before + 3
child = os.fork()
if child == 0:
    check(f)
    os._exit(0 if threads() > 1 else 3)
assert os.waitpid(child, 0)[1] == 0
print("done")
"""
)

TORCH_POOL = (
    PROLOGUE
    + """
from test_runtime_parallel import reduction
import torch
torch.set_num_threads(2)
a = torch.ones(512, 512)
for _ in range(5): a @ a
f = reduction("addi")
before = threads()
for _ in range(200): check(f); a @ a
assert native.openmp_path() and "torch" in native.openmp_path(), native.openmp_path()
assert native.num_threads() == 2
assert threads() == before, (before, threads())
torch.set_num_threads(1)
assert native.num_threads() == 1
check(f)
print("done")
"""
)

LATE_TORCH = (
    PROLOGUE
    + """
from test_runtime_parallel import reduction
f = reduction("addi")
native.set_num_threads(2)
check(f)
assert native.openmp_path() == ""
import torch
check(f)
assert "torch" in native.openmp_path()
print("done")
"""
)

FORKED = (
    PROLOGUE
    + """
import signal
from test_runtime_parallel import reduction
import torch
torch.set_num_threads(2)
native.set_num_threads(2)
a = torch.ones(700, 700)
f = reduction("addi")
check(f); (a * a).sin()
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends a child that waits for threads of its parent
    check(f); (a * a).sin()
    os._exit(0 if threads() > 1 else 3)
assert os.waitpid(child, 0)[1] == 0
check(f); (a * a).sin()
print("done")
"""
)

ENVIRONMENT = (
    PROLOGUE
    + """
print(native.num_threads())
native.set_num_threads(5)
assert native.num_threads() == 5
native.set_num_threads(0)
print(native.num_threads())
"""
)


def run(script: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(__file__)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_own_pool_without_torch():
    assert run(OWN_POOL).strip() == "done"


@pytest.mark.parametrize("script", [TORCH_POOL, LATE_TORCH, FORKED], ids=["torch first", "torch later", "forked"])
def test_torch_pool_is_shared(script):
    pytest.importorskip("torch")
    assert run(script).strip() == "done"


def test_thread_numbers_come_from_the_environment():
    assert run(ENVIRONMENT, OMP_NUM_THREADS="3").split() == ["3", "3"]
    assert run(ENVIRONMENT, OMP_NUM_THREADS="3", PITH_NUM_THREADS="7").split() == ["7", "7"]


def test_thread_numbers_are_checked():
    for bad in (-1, 5000):
        with pytest.raises(pith.ArgumentError, match="threads"):
            set_num_threads(bad)
    assert num_threads() >= 1
