"""The emulator runs gpu-level kernels: who threads are, shared memory, warp- and block-wide ops, atomics."""

import numpy as np
import pith
import pytest
from emulator_programs import SHARED, program, run

I32, F32 = "memref<?xi32>", "memref<?xf32>"


def test_ids_of_threads_blocks_and_grids():
    out = np.zeros((3 * 64, 6), np.int32)
    names = (
        "gpu.thread_id x",
        "gpu.block_id x",
        "gpu.block_dim x",
        "gpu.grid_dim x",
        "gpu.lane_id",
        "gpu.subgroup_id : index",
    )
    lines = ["    %g = gpu.global_id x"]
    for i, name in enumerate(names):
        lines.append(f"    %v{i} = {name}")
        lines.append(f"    %w{i} = arith.index_cast %v{i} : index to i32")
        lines.append(f"    memref.store %w{i}, %out[%g, %c{i}] : memref<?x6xi32>")
    run("\n".join(lines), {"out": "memref<?x6xi32>"}, [out], threads=64, blocks=3)
    g = np.arange(192)
    expected = np.stack([g % 64, g // 64, 0 * g + 64, 0 * g + 3, g % 32, g % 64 // 32], 1)
    np.testing.assert_array_equal(out, expected)


def test_threads_meet_at_barriers_and_exchange_through_static_shared_memory():
    """A tree sum over 96 threads; every step needs the barrier before it."""
    body = f"""
    %x = memref.load %a[%t] : {F32}
    memref.store %x, %s[%t] : memref<128xf32, {SHARED}>
    %zero = arith.constant 0.0 : f32
    %upper = arith.cmpi ult, %t, %c32 : index
    scf.if %upper {{
      %u = arith.addi %t, %n : index
      memref.store %zero, %s[%u] : memref<128xf32, {SHARED}>
    }}
    gpu.barrier
    scf.for %i = %c0 to %c7 step %c1 {{
      %half = arith.shrui %c64, %i : index
      %mine = arith.cmpi ult, %t, %half : index
      scf.if %mine {{
        %other = arith.addi %t, %half : index
        %p = memref.load %s[%t] : memref<128xf32, {SHARED}>
        %q = memref.load %s[%other] : memref<128xf32, {SHARED}>
        %sum = arith.addf %p, %q : f32
        memref.store %sum, %s[%t] : memref<128xf32, {SHARED}>
      }}
      gpu.barrier
    }}
    %total = memref.load %s[%c0] : memref<128xf32, {SHARED}>
    memref.store %total, %a[%t] : {F32}
"""
    body = body.replace("%n :", "%c96 :").replace("%c64", "%k64")
    body = "    %c96 = arith.constant 96 : index\n    %k64 = arith.constant 64 : index\n" + body
    a = np.arange(96, dtype=np.float32)
    run(body, {"a": F32}, [a], threads=96, static=f"%s: memref<128xf32, {SHARED}>")
    assert (a == 96 * 95 / 2).all()


def test_static_and_dynamic_shared_memory_do_not_overlap():
    body = f"""
    %bytes = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>
    %d = memref.view %bytes[%c0][] : memref<?xi8, {SHARED}> to memref<32xf32, {SHARED}>
    %x = memref.load %a[%t] : {F32}
    %y = arith.negf %x : f32
    memref.store %x, %s[%t] : memref<32xf32, {SHARED}>
    memref.store %y, %d[%t] : memref<32xf32, {SHARED}>
    gpu.barrier
    %r = arith.subi %c31, %t : index
    %p = memref.load %s[%r] : memref<32xf32, {SHARED}>
    %q = memref.load %d[%t] : memref<32xf32, {SHARED}>
    %sum = arith.addf %p, %q : f32
    memref.store %sum, %a[%t] : {F32}
"""
    a = np.arange(32, dtype=np.float32)
    run(body, {"a": F32}, [a], shared=128, static=f"%s: memref<32xf32, {SHARED}>")
    np.testing.assert_array_equal(a, 31 - 2 * np.arange(32))


SOURCES = {
    "xor": lambda lane, by: lane ^ by,
    "up": lambda lane, by: np.where(lane - by >= 0, lane - by, lane),
    "down": lambda lane, by: np.where(lane + by < 32, lane + by, lane),
    "idx": lambda lane, by: 0 * lane + by,
}


@pytest.mark.parametrize("mode", SOURCES)
@pytest.mark.parametrize(("type_", "dtype"), [("f32", "f4"), ("i32", "i4"), ("f16", "f2"), ("i64", "i8")])
def test_shuffles(mode, type_, dtype):
    memory = f"memref<?x{type_}>"
    body = f"""
    %w = arith.constant 32 : i32
    %by = arith.constant 5 : i32
    %x = memref.load %a[%t] : {memory}
    %y, %valid = gpu.shuffle {mode} %x, %by, %w : {type_}
    memref.store %y, %a[%t] : {memory}
    %v = arith.extui %valid : i1 to i32
    memref.store %v, %b[%t] : {I32}
"""
    lane = np.arange(64)
    a, b = (lane * 3 + 1).astype(dtype), np.full(64, -1, np.int32)
    run(body, {"a": memory, "b": I32}, [a, b], threads=64)
    source = SOURCES[mode](lane % 32, 5)
    np.testing.assert_array_equal(a, ((lane // 32 * 32 + source) * 3 + 1).astype(dtype))
    beyond = {"up": lane % 32 >= 5, "down": lane % 32 < 27}.get(mode, np.ones(64, bool))
    np.testing.assert_array_equal(b, beyond)


def test_votes_and_warp_registers():
    body = f"""
    %lane = nvvm.read.ptx.sreg.laneid : i32
    %two = arith.constant 2 : i32
    %three = arith.constant 3 : i32
    %m = arith.remui %lane, %three : i32
    %p = arith.cmpi ult, %m, %two : i32
    %votes = gpu.ballot %p : i32
    memref.store %votes, %a[%t] : {I32}
    %all = arith.constant -1 : i32
    %some = nvvm.vote.sync any %all, %p -> i1
    %every = nvvm.vote.sync all %all, %p -> i1
    %s = arith.extui %some : i1 to i32
    %e = arith.extui %every : i1 to i32
    %sum = arith.subi %s, %e : i32
    memref.store %sum, %b[%t] : {I32}
    %same = nvvm.match.sync any %all, %m : i32 -> i32
    memref.store %same, %c[%t] : {I32}
    nvvm.bar.warp.sync %all : i32
"""
    a, b, c = (np.zeros(32, np.int32) for _ in range(3))
    run(body, {"a": I32, "b": I32, "c": I32}, [a, b, c])
    masks = [sum(1 << lane for lane in range(32) if lane % 3 == r) for r in range(3)]
    assert (a.view(np.uint32) == masks[0] | masks[1]).all()
    assert (b == 1).all()
    np.testing.assert_array_equal(c.view(np.uint32), [masks[lane % 3] for lane in range(32)])


@pytest.mark.parametrize(
    ("op", "fold", "type_", "dtype"),
    [
        ("add", np.sum, "f32", "f4"),
        ("maxnumf", np.max, "f32", "f4"),
        ("minsi", np.min, "i32", "i4"),
        ("maxui", lambda x: x.view("u4").max().view("i4"), "i32", "i4"),
        ("xor", np.bitwise_xor.reduce, "i32", "i4"),
        ("mul", np.prod, "f32", "f4"),
        ("add", np.sum, "f16", "f2"),
    ],
)
def test_reductions_over_warp_cluster_and_block(op, fold, type_, dtype):
    memory = f"memref<?x{type_}>"
    body = f"""
    %x = memref.load %a[%t] : {memory}
    %w = gpu.subgroup_reduce {op} %x : ({type_}) -> {type_}
    %k = gpu.subgroup_reduce {op} %x cluster(size = 4, stride = 2) : ({type_}) -> {type_}
    %b = gpu.all_reduce {op} %x {{}} : ({type_}) -> ({type_})
    memref.store %w, %warp[%t] : {memory}
    memref.store %k, %cluster[%t] : {memory}
    memref.store %b, %block[%t] : {memory}
"""
    rng = np.random.default_rng(4)
    a = rng.integers(-8, 8, 64).astype(dtype) if dtype == "i4" else rng.choice([0.5, 1, 2, -1], 64).astype(dtype)
    outs = [np.zeros(64, dtype) for _ in range(3)]
    names = {n: memory for n in ("a", "warp", "cluster", "block")}
    run(body, names, [a, *outs], threads=64)
    lanes = np.arange(64)
    np.testing.assert_allclose(outs[0], np.repeat([fold(a[:32]), fold(a[32:])], 32), rtol=1e-3)
    clusters = [fold(a[(lanes // 8 == t // 8) & (lanes % 2 == t % 2)]) for t in lanes]
    np.testing.assert_allclose(outs[1], clusters, rtol=1e-3)
    np.testing.assert_allclose(outs[2], np.full(64, fold(a)), rtol=1e-3)


def test_redux_and_shfl_sync_of_a_part_of_the_warp():
    body = f"""
    %lane = nvvm.read.ptx.sreg.laneid : i32
    %sixteen = arith.constant 16 : i32
    %low = arith.cmpi ult, %lane, %sixteen : i32
    %lower = arith.constant 65535 : i32
    %upper = arith.constant -65536 : i32
    %mask = arith.select %low, %lower, %upper : i32
    %sum = scf.if %low -> (i32) {{
      %s = nvvm.redux.sync add %lane, %lower : i32 -> i32
      scf.yield %s : i32
    }} else {{
      %s = nvvm.redux.sync max %lane, %upper : i32 -> i32
      scf.yield %s : i32
    }}
    memref.store %sum, %a[%t] : {I32}
"""
    a = np.zeros(32, np.int32)
    run(body, {"a": I32}, [a])
    np.testing.assert_array_equal(a, [120] * 16 + [31] * 16)


def test_atomics_of_many_blocks():
    body = f"""
    %one = arith.constant 1 : i32
    %x = arith.constant 0.5 : f32
    %old = memref.atomic_rmw addi %one, %count[%c0] : (i32, {I32}) -> i32
    %place = arith.index_cast %old : i32 to index
    memref.store %one, %seen[%place] : {I32}
    %f = memref.atomic_rmw addf %x, %sum[%c0] : (f32, {F32}) -> f32
    %h = arith.constant 0.25 : f16
    %g = memref.atomic_rmw addf %h, %half[%c0] : (f16, memref<?xf16>) -> f16
"""
    count, seen = np.zeros(1, np.int32), np.zeros(1000, np.int32)
    total, half = np.zeros(1, np.float32), np.zeros(1, np.float16)
    names = {"count": I32, "seen": I32, "sum": F32, "half": "memref<?xf16>"}
    run(body, names, [count, seen, total, half], threads=50, blocks=20)
    assert count[0] == 1000 and (seen == 1).all() and total[0] == 500 and half[0] == 250


def test_a_block_waits_for_the_one_before_it():
    """Blocks start in order, so a chain of spinning blocks comes to its end on any number of threads."""
    body = f"""
    %b = gpu.block_id x
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %first = arith.cmpi eq, %t, %c0 : index
    scf.if %first {{
      %r = scf.while (%x = %zero) : (i32) -> i32 {{
        %seen = memref.atomic_rmw addi %zero, %flag[%b] : (i32, {I32}) -> i32
        %wait = arith.cmpi eq, %seen, %zero : i32
        scf.condition(%wait) %seen : i32
      }} do {{
      ^bb0(%y: i32):
        scf.yield %y : i32
      }}
      %n = arith.addi %b, %c1 : index
      %v = arith.addi %r, %one : i32
      %old = memref.atomic_rmw addi %v, %flag[%n] : (i32, {I32}) -> i32
    }}
"""
    flag = np.zeros(41, np.int32)
    flag[0] = 1
    run(body, {"flag": I32}, [flag], blocks=40)
    np.testing.assert_array_equal(flag, np.arange(1, 42))


def test_levels_and_repr():
    source = program("", {"a": F32})
    k = pith.compile(source, target="emulate:sm_90")
    assert "gpu.func @kernel" in k.ir("gpu") and "emulate:sm_90" in repr(k)
    assert k.program.launches[0].kernel == "kernel"


WHOLE = f"""module attributes {{gpu.container_module}} {{
gpu.module @kernels [#nvvm.target<chip = "sm_90">] {{
  memref.global "private" @tile : memref<4x8xi32, {SHARED}>
  memref.global "private" constant @table : memref<4xi32> = dense<[10, 20, 30, 40]>
  func.func @twice(%x: i32) -> i32 {{
    %y = arith.addi %x, %x : i32
    return %y : i32
  }}
  gpu.func @kernel(%a: memref<?x?xi32>) workgroup(%s: memref<8xi32, {SHARED}>)
      private(%p: memref<1xi32, #gpu.address_space<private>>) kernel {{
    %c0 = arith.constant 0 : index
    %x = gpu.thread_id x
    %y = gpu.thread_id y
    %b = gpu.block_id y
    %tile = memref.get_global @tile : memref<4x8xi32, {SHARED}>
    %table = memref.get_global @table : memref<4xi32>
    %t = memref.load %table[%y] : memref<4xi32>
    memref.store %t, %p[%c0] : memref<1xi32, #gpu.address_space<private>>
    %d = func.call @twice(%t) : (i32) -> i32
    memref.store %d, %tile[%y, %x] : memref<4x8xi32, {SHARED}>
    %first = arith.cmpi eq, %y, %c0 : index
    scf.if %first {{
      %i = arith.index_cast %x : index to i32
      memref.store %i, %s[%x] : memref<8xi32, {SHARED}>
    }}
    gpu.barrier
    %c3 = arith.constant 3 : index
    %other = arith.subi %c3, %y : index
    %v = memref.load %tile[%other, %x] : memref<4x8xi32, {SHARED}>
    %w = memref.load %s[%x] : memref<8xi32, {SHARED}>
    %mine = memref.load %p[%c0] : memref<1xi32, #gpu.address_space<private>>
    %sum = arith.addi %v, %w : i32
    %all = arith.addi %sum, %mine : i32
    %c4 = arith.constant 4 : index
    %row0 = arith.muli %b, %c4 : index
    %row = arith.addi %row0, %y : index
    memref.store %all, %a[%row, %x] : memref<?x?xi32>
    gpu.return
  }}
}}
func.func @run(%a: memref<?x?xi32> {{bufferization.writable = true}}) {{
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  gpu.launch_func @kernels::@kernel blocks in (%c1, %c3, %c1) threads in (%c8, %c4, %c1) args(%a : memref<?x?xi32>)
  return
}}
}}
"""


def test_functions_globals_private_memory_and_two_dimensions():
    a = np.zeros((12, 8), np.int32)
    pith.compile(WHOLE, target="emulate:sm_90")(a)
    table = np.array([10, 20, 30, 40])
    block = 2 * table[::-1, None] + np.arange(8) + table[:, None]
    np.testing.assert_array_equal(a, np.tile(block, (3, 1)))


def test_barriers_of_a_part_of_the_block_are_refused():
    body = """
    %i = arith.constant 1 : i32
    %n = arith.constant 64 : i32
    nvvm.barrier id = %i number_of_threads = %n
"""
    with pytest.raises(pith.PassError, match=r"'nvvm\.barrier' op has no emulation but for the whole block"):
        run(body, {"a": F32}, [np.zeros(1, np.float32)])


def test_arrays_that_begin_anywhere_and_read_only_ones():
    """Kernels see 16-byte aligned memory whatever the caller has; what they write comes back."""
    body = f"""
    %i = arith.muli %t, %c4 : index
    %x = vector.load %a[%i] {{alignment = 16 : i64}} : {F32}, vector<4xf32>
    vector.store %x, %out[%i] {{alignment = 16 : i64}} : {F32}, vector<4xf32>
"""
    source = program(body, {"a": F32, "out": F32}).replace("{bufferization.writable = true}", "", 1)
    a, out = np.arange(129, dtype=np.float32)[1:], np.zeros(129, np.float32)
    a.flags.writeable = False
    pith.compile(source, target="emulate:sm_90")(a, out[1:])
    np.testing.assert_array_equal(out, np.arange(129))
    with pytest.raises(pith.ArgumentError, match="read-only"):
        pith.compile(source, target="emulate:sm_90")(out[1:], a)
