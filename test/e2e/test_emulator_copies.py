"""``cp.async`` under emulation: copies land at the wait and not before, in groups, zero-filled where asked."""

import numpy as np
import pith
import pytest
from emulator_programs import SHARED, fault_of, line_of, program

F32 = "memref<?xf32>"
TILE = f"memref<4x128xf32, {SHARED}>"
TOKEN = "!nvgpu.device.async.token"


def run(body, arrays, names=("a", "out"), **options):
    source = program(body, {n: F32 for n in names}, static=f"%s: {TILE}", **options)
    pith.compile(source, target="emulate:sm_90")(*arrays)


@pytest.mark.parametrize(("elements", "type_"), [(1, "f32"), (2, "f32"), (4, "f32"), (8, "f16"), (16, "i8")])
def test_copies_of_all_sizes(elements, type_):
    tile, memory = f"memref<512x{type_}, {SHARED}>", f"memref<?x{type_}>"
    body = f"""
    %n = arith.constant {elements} : index
    %i = arith.muli %t, %n : index
    %k = nvgpu.device_async_copy %a[%i], %s[%i], {elements} : {memory} to {tile}
    %g = nvgpu.device_async_create_group %k
    nvgpu.device_async_wait %g
    scf.for %j = %c0 to %n step %c1 {{
      %at = arith.addi %i, %j : index
      %x = memref.load %s[%at] : {tile}
      memref.store %x, %out[%at] : {memory}
    }}
"""
    dtype = {"f32": "f4", "f16": "f2", "i8": "i1"}[type_]
    a = (np.arange(32 * elements) % 100).astype(dtype)
    out = np.zeros_like(a)
    source = program(body, {"a": memory, "out": memory}, static=f"%s: {tile}")
    pith.compile(source, target="emulate:sm_90")(a, out)
    np.testing.assert_array_equal(out, a)


def test_what_is_not_given_is_zero_and_not_read():
    """Lane t copies max(t - 28, 0) of 4 elements; where there are none the source may be anywhere."""
    body = f"""
    %i = arith.muli %t, %c4 : index
    %c28b = arith.constant 28 : index
    %n0 = arith.subi %t, %c28b : index
    %n = arith.maxsi %n0, %c0 : index
    %far = arith.constant 4000 : index
    %none = arith.cmpi eq, %n, %c0 : index
    %from = arith.select %none, %far, %i : index
    %k = nvgpu.device_async_copy %a[%from], %s[%c2, %i], 4, %n {{bypassL1}} : {F32} to {TILE}
    %g = nvgpu.device_async_create_group {{}}
    nvgpu.device_async_wait %g
    %v = vector.load %s[%c2, %i] : {TILE}, vector<4xf32>
    vector.store %v, %out[%i] : {F32}, vector<4xf32>
"""
    a, out = np.arange(1, 129, dtype=np.float32), np.full(128, -1, np.float32)
    run(body, [a, out])
    given = np.clip(np.arange(32) - 28, 0, 4)
    np.testing.assert_array_equal(out, np.where(np.arange(128) % 4 < np.repeat(given, 4), a, 0))


PIPELINE = f"""
    %i = arith.muli %t, %c4 : index
    %first = nvgpu.device_async_create_group {{}}
    %last = scf.for %k = %c0 to %c4 step %c1 iter_args(%token = %first) -> ({TOKEN}) {{
      %o = arith.constant 128 : index
      %b = arith.muli %k, %o : index
      %from = arith.addi %b, %i : index
      %c = nvgpu.device_async_copy %a[%from], %s[%k, %i], 4 : {F32} to {TILE}
      %g = nvgpu.device_async_create_group %c
      nvgpu.device_async_wait %g {{numGroups = 1 : i32}}
      %late = arith.cmpi uge, %k, %c1 : index
      scf.if %late {{
        %p = arith.subi %k, %BACK : index
        %x = vector.load %s[%p, %i] : {TILE}, vector<4xf32> // here
        %to0 = arith.muli %p, %o : index
        %to = arith.addi %to0, %i : index
        vector.store %x, %out[%to] : {F32}, vector<4xf32>
      }}
      scf.yield %g : {TOKEN}
    }}
"""


def test_a_wait_leaves_the_latest_groups_in_flight():
    a, out = np.arange(512, dtype=np.float32), np.zeros(512, np.float32)
    run(PIPELINE.replace("%BACK", "%c1"), [a, out])
    np.testing.assert_array_equal(out[:384], a[:384])
    fault, source = fault_of(PIPELINE.replace("%BACK", "%c0"), {"a": F32, "out": F32}, [a, out], static=f"%s: {TILE}")
    assert (fault.kind, fault.thread) == ("race", (0, 0, 0))
    assert fault.location == f"gpu level, line {line_of(source, '// here')}: vector.load"
    assert "an asynchronous copy has not filled yet: a wait is missing" in str(fault)


def copy(index, then=""):
    return f"""
    %i = arith.muli %t, %c4 : index
    %j = arith.addi %i, {index} : index
    %k = nvgpu.device_async_copy %a[%j], %s[%c0, %i], 4 : {F32} to {TILE} // here
    %g = nvgpu.device_async_create_group %k
    nvgpu.device_async_wait %g
{then}
"""


@pytest.mark.parametrize(
    ("index", "kind", "thread", "said"),
    [
        ("%c1", "misaligned", 0, "source of an asynchronous copy is 4 bytes past a multiple of 16"),
        ("%c4", "out-of-bounds", 31, "indices 128 to 131 are outside of dimension 0 of extent 128"),
    ],
)
def test_faults_of_copies(index, kind, thread, said):
    arrays = [np.zeros(128, np.float32), np.zeros(128, np.float32)]
    body = copy(index)
    fault, source = fault_of(body, {"a": F32, "out": F32}, arrays, static=f"%s: {TILE}")
    assert (fault.kind, fault.thread) == (kind, (thread, 0, 0)) and said in str(fault)
    assert fault.location == f"gpu level, line {line_of(source, '// here')}: nvgpu.device_async_copy"


def test_other_threads_need_a_barrier_after_the_wait():
    then = f"""
    BARRIER
    %c124 = arith.constant 124 : index
    %r = arith.subi %c124, %i : index
    %x = memref.load %s[%c0, %r] : {TILE} // there
    memref.store %x, %out[%t] : {F32}
"""
    a, out = np.arange(128, dtype=np.float32), np.zeros(128, np.float32)
    run(copy("%c0", then.replace("BARRIER", "gpu.barrier")), [a, out])
    np.testing.assert_array_equal(out[:32], 124 - 4 * np.arange(32))
    body = copy("%c0", then.replace("BARRIER", ""))
    fault, _ = fault_of(body, {"a": F32, "out": F32}, [a, out], static=f"%s: {TILE}")
    assert fault.kind in ("uninitialised", "race")


def test_a_copy_into_what_others_still_read_is_a_race():
    """The next stage of a pipeline may only be fetched when every thread is done with the one it replaces."""
    body = f"""
    %x = arith.constant 0.0 : f32
    %c63 = arith.constant 63 : index
    memref.store %x, %s[%c0, %t] : {TILE}
    gpu.barrier
    %r = arith.subi %c63, %t : index
    %y = memref.load %s[%c0, %r] : {TILE} // there
    %k = nvgpu.device_async_copy %a[%t], %s[%c0, %t], 1 : {F32} to {TILE} // here
"""
    arrays = [np.zeros(128, np.float32), np.zeros(128, np.float32)]
    fault, source = fault_of(body, {"a": F32, "out": F32}, arrays, static=f"%s: {TILE}", threads=64)
    assert (fault.kind, fault.thread) == ("race", (31, 0, 0))
    assert "an asynchronous copy has not filled yet" in str(fault)
    assert fault.location == f"gpu level, line {line_of(source, '// there')}: memref.load"
