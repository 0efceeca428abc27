"""What hardware does not define is reported: kind, thread, block and line of the op. Each test provokes one fault.

Threads run in a known order: upwards in even blocks, downwards in odd ones, and the other way behind every barrier.
"""

import numpy as np
import pith
import pytest
from emulator_programs import SHARED, fault_of, line_of, program

F32, I32 = "memref<?xf32>", "memref<?xi32>"
TILE = f"memref<64xf32, {SHARED}>"
STATIC = f"%s: {TILE}"


def check(fault, source, kind, mark, thread, block=(0, 0, 0)):
    assert fault.kind == kind
    assert (fault.kernel, fault.block, fault.thread) == ("kernel", block, thread)
    line = line_of(source, mark)
    op = next(word for word in source.splitlines()[line - 1].replace("(", " ").split() if "." in word)
    assert fault.location == f"gpu level, line {line}: {op}"
    assert f"kernel kernel, block {block}, thread {thread}, at {fault.location}: {kind}: " in str(fault)


def test_load_past_the_end_of_global_memory():
    body = f"""
    %b = gpu.block_id x
    %g = gpu.global_id x
    %x = memref.load %a[%g] : {F32} // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(40, np.float32)], blocks=2)
    check(fault, source, "out-of-bounds", "// here", (31, 0, 0), (1, 0, 0))
    assert "index 63 is outside of dimension 0 of extent 40" in str(fault)


def test_store_before_the_beginning():
    body = """
    %x = arith.constant 0.0 : f32
    %i = arith.subi %t, %c1 : index
    memref.store %x, %a[%c1, %i] : memref<2x?xf32> // here
"""
    fault, source = fault_of(body, {"a": "memref<2x?xf32>"}, [np.zeros((2, 99), np.float32)])
    check(fault, source, "out-of-bounds", "// here", (0, 0, 0))
    assert "index -1 is outside of dimension 1 of extent 99" in str(fault)


@pytest.mark.parametrize("op", ["vector.load", "vector.transfer_read"])
def test_vector_that_ends_past_a_row(op):
    """The row that follows would be memory of the array too; bounds are those of the dimension."""
    read = f"vector.load %a[%c0, %i] : {F32.replace('?', '2x?')}, vector<4xf32> // here"
    if op != "vector.load":
        read = "vector.transfer_read %a[%c0, %i], %z {in_bounds = [true]} : memref<2x?xf32>, vector<4xf32> // here"
    body = f"""
    %z = arith.constant 0.0 : f32
    %i = arith.muli %t, %c4 : index
    %x = {read}
"""
    fault, source = fault_of(body, {"a": "memref<2x?xf32>"}, [np.zeros((2, 126), np.float32)])
    check(fault, source, "out-of-bounds", "// here", (31, 0, 0))
    assert "indices 124 to 127 are outside of dimension 1 of extent 126" in str(fault)


def test_a_transfer_may_hang_over_where_it_says_so():
    body = """
    %z = arith.constant 0.0 : f32
    %i = arith.muli %t, %c4 : index
    %x = vector.transfer_read %a[%c0, %i], %z : memref<2x?xf32>, vector<4xf32>
    %y = vector.transfer_read %b[%i], %z : memref<?xf32>, vector<4xf32>
    %sum = arith.addf %x, %y : vector<4xf32>
    vector.transfer_write %sum, %b[%i] : vector<4xf32>, memref<?xf32>
"""
    a, b = np.arange(252, dtype=np.float32).reshape(2, 126), np.ones(126, np.float32)
    source = program(body, {"a": "memref<2x?xf32>", "b": F32})
    pith.compile(source, target="emulate:sm_90")(a, b)
    np.testing.assert_array_equal(b, a[0] + 1)


def test_view_past_the_end_of_dynamic_shared_memory():
    body = f"""
    %x = arith.constant 0.0 : f32
    %bytes = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>
    %s = memref.view %bytes[%c16][] : memref<?xi8, {SHARED}> to {TILE}
    memref.store %x, %s[%t] : {TILE} // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], shared=128)
    check(fault, source, "out-of-bounds", "// here", (28, 0, 0))
    assert "accesses bytes 128 to 132 of 128 bytes of shared memory" in str(fault)


def test_misaligned_vector():
    body = f"""
    %x = vector.load %a[%t] {{alignment = 16 : i64}} : {F32}, vector<4xf32> // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(64, np.float32)])
    check(fault, source, "misaligned", "// here", (1, 0, 0))
    assert "4 bytes past a multiple of 16" in str(fault)


def test_misaligned_matrix_row():
    tile = f"memref<32x20xf16, {SHARED}>"
    body = f"""
    %z = arith.constant 0.0 : f16
    scf.for %j = %c0 to %c20 step %c1 {{
      memref.store %z, %s[%t, %j] : {tile}
    }}
    gpu.barrier
    %v = nvgpu.ldmatrix %s[%t, %c0] {{numTiles = 4 : i32, transpose = false}} : {tile} -> vector<4x2xf16> // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], static=f"%s: {tile}")
    check(fault, source, "misaligned", "// here", (31, 0, 0))
    assert "row is 8 bytes past a multiple of 16" in str(fault)


def test_shared_memory_nobody_wrote():
    body = f"""
    %x = arith.constant 0.0 : f32
    memref.store %x, %s[%t] : {TILE}
    gpu.barrier
    %i = arith.addi %t, %c3 : index
    %y = memref.load %s[%i] : {TILE} // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], static=STATIC)
    check(fault, source, "uninitialised", "// here", (31, 0, 0))


def test_shared_memory_does_not_outlive_its_block():
    """What block 0 wrote is not there for block 1."""
    body = f"""
    %b = gpu.block_id x
    %first = arith.cmpi eq, %b, %c0 : index
    %x = arith.constant 0.0 : f32
    scf.if %first {{
      memref.store %x, %s[%t] : {TILE}
    }}
    gpu.barrier
    %y = memref.load %s[%t] : {TILE} // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], static=STATIC, blocks=2)
    check(fault, source, "uninitialised", "// here", (0, 0, 0), (1, 0, 0))


def race(first, second, threads=64):
    """The fault of two accesses without a barrier between, of threads t and 63 - t."""
    write, read = "memref.store %x, %s[{}] : " + TILE, "%y = memref.load %s[{}] : " + TILE
    text = {"write": write, "read": read}
    body = f"""
    %c63 = arith.constant 63 : index
    %x = arith.constant 0.0 : f32
    memref.store %x, %s[%t] : {TILE}
    gpu.barrier
    %r = arith.subi %c63, %t : index
    {text[first].format("%t")} // first
    {text[second].format("%r").replace("%y", "%y2")} // second
"""
    return fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], static=STATIC, threads=threads)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("write", "read", "writes shared memory (byte 124) that another thread read without a barrier between"),
        ("read", "write", "reads shared memory (byte 124) that another thread wrote without a barrier between"),
        ("write", "write", "writes shared memory (byte 124) that another thread wrote without a barrier between"),
    ],
)
def test_races_on_shared_memory(first, second, said):
    """Behind the barrier warp 1 runs first, to its end; then thread 31 meets what thread 32 did."""
    fault, source = race(first, second)
    check(fault, source, "race", "// first", (31, 0, 0))
    assert said in str(fault)
    assert f"(thread (32, 0, 0) at gpu level, line {line_of(source, '// second')}: memref." in str(fault)


def test_lanes_race_too_unless_the_warp_is_synchronised():
    body = f"""
    %x = arith.constant 0.0 : f32
    memref.store %x, %s[%t] : {TILE}
    SYNC
    %r = arith.subi %c31, %t : index
    %y = memref.load %s[%r] : {TILE} // here
    memref.store %y, %a[%t] : {F32}
"""
    every = "    %all = arith.constant -1 : i32\n"
    synchronised = program(every + body.replace("SYNC", "nvvm.bar.warp.sync %all : i32"), {"a": F32}, static=STATIC)
    pith.compile(synchronised, target="emulate:sm_90")(np.zeros(32, np.float32))
    bare = body.replace("SYNC", "")
    fault, _ = fault_of(bare, {"a": F32}, [np.zeros(32, np.float32)], static=STATIC)
    assert fault.kind == "uninitialised"  # lane 0 reads before lane 31 runs


def test_atomics_do_not_race_with_each_other_but_with_loads():
    body = f"""
    %one = arith.constant 1 : i32
    %first = arith.cmpi eq, %t, %c0 : index
    %zero = arith.constant 0 : i32
    scf.if %first {{
      memref.store %zero, %s[%c0] : memref<1xi32, {SHARED}>
    }}
    gpu.barrier
    %old = memref.atomic_rmw addi %one, %s[%c0] : (i32, memref<1xi32, {SHARED}>) -> i32
    BARRIER
    %total = memref.load %s[%c0] : memref<1xi32, {SHARED}> // here
    memref.store %total, %a[%t] : {I32}
"""
    static = f"%s: memref<1xi32, {SHARED}>"
    a = np.zeros(64, np.int32)
    source = program(body.replace("BARRIER", "gpu.barrier"), {"a": I32}, static=static, threads=64)
    pith.compile(source, target="emulate:sm_90")(a)
    assert (a == 64).all()
    fault, source = fault_of(body.replace("BARRIER", ""), {"a": I32}, [a], static=static, threads=64)
    check(fault, source, "race", "%old = memref.atomic_rmw", (62, 0, 0))


def test_what_relies_on_the_order_of_threads_comes_out_wrong():
    """Threads read what another warp overwrites afterwards, or before: without a barrier blocks differ."""
    body = f"""
    %b = gpu.block_id x
    %c64 = arith.constant 64 : index
    %first = arith.muli %b, %c64 : index
    %at = arith.addi %first, %t : index
    %r = arith.xori %t, %c32 : index
    %from = arith.addi %first, %r : index
    %y = memref.load %a[%from] : {F32}
    memref.store %y, %out[%at] : {F32}
    %x = arith.constant 1.0 : f32
    %old = memref.atomic_rmw assign %x, %a[%at] : (f32, {F32}) -> f32
"""
    a, out = np.zeros(128, np.float32), np.full(128, -1, np.float32)
    pith.compile(program(body, {"a": F32, "out": F32}, threads=64, blocks=2), target="emulate:sm_90")(a, out)
    np.testing.assert_array_equal(out.reshape(4, 32)[:, 0], [0, 1, 1, 0])


def test_a_warp_reads_what_another_wrote_to_global_memory():
    body = f"""
    %c63 = arith.constant 63 : index
    %x = arith.constant dense<1.0> : vector<2xf32>
    %i = arith.muli %t, %c2 : index
    vector.store %x, %a[%i] : {F32}, vector<2xf32> // there
    BARRIER
    %r = arith.subi %c63, %t : index
    %y = memref.load %a[%r] : {F32} // here
"""
    a = np.zeros(128, np.float32)
    source = program(body.replace("BARRIER", "gpu.barrier"), {"a": F32}, threads=64)
    pith.compile(source, target="emulate:sm_90")(a)
    fault, source = fault_of(body.replace("BARRIER", ""), {"a": F32}, [a], threads=64)
    check(fault, source, "race", "// here", (32, 0, 0))  # it reads 31, which thread 15 wrote
    assert f"(thread (15, 0, 0) at gpu level, line {line_of(source, '// there')}: vector.store)" in str(fault)


def test_two_warps_write_the_same_global_element():
    body = f"""
    %x = arith.constant 1.0 : f32
    %i = arith.remui %t, %c32 : index
    memref.store %x, %a[%i] : {F32} // here
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(32, np.float32)], threads=64)
    check(fault, source, "race", "// here", (32, 0, 0))
    assert "another thread wrote" in str(fault) and "thread (0, 0, 0)" in str(fault)


def test_a_barrier_some_threads_never_reach():
    body = """
    %few = arith.cmpi ult, %t, %c20 : index
    scf.if %few {
      gpu.barrier // here
    }
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)])
    check(fault, source, "divergence", "// here", (0, 0, 0))
    assert "threads that have returned (12 of 32)" in str(fault) and "thread (20, 0, 0)" in str(fault)


def test_threads_at_different_barriers():
    body = """
    %few = arith.cmpi ult, %t, %c20 : index
    scf.if %few {
      gpu.barrier // here
    } else {
      gpu.barrier // there
    }
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)])
    check(fault, source, "divergence", "// here", (0, 0, 0))
    assert f"(thread (20, 0, 0) at gpu level, line {line_of(source, '// there')}: gpu.barrier)" in str(fault)


def test_a_warp_wide_op_under_divergence():
    body = f"""
    %w = arith.constant 32 : i32
    %by = arith.constant 1 : i32
    %x = memref.load %a[%t] : {F32}
    %even = arith.remui %t, %c2 : index
    %odd = arith.cmpi eq, %even, %c1 : index
    scf.if %odd {{
      %y, %valid = gpu.shuffle xor %x, %by, %w : f32 // here
    }}
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(32, np.float32)])
    check(fault, source, "divergence", "// here", (1, 0, 0))
    assert "waits at a warp-wide op for lane 0, which has returned" in str(fault)


def test_a_product_in_a_warp_that_is_not_whole():
    body = """
    %a0 = arith.constant dense<0.0> : vector<2x2xf16>
    %b0 = arith.constant dense<0.0> : vector<1x2xf16>
    %c0v = arith.constant dense<0.0> : vector<2x2xf32>
    %d = nvgpu.mma.sync(%a0, %b0, %c0v) {mmaShape = [16, 8, 8]} // here
      : (vector<2x2xf16>, vector<1x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
"""
    fault, source = fault_of(body, {"a": F32}, [np.zeros(1, np.float32)], threads=48)
    check(fault, source, "divergence", "// here", (32, 0, 0))


def test_a_loop_that_waits_for_what_never_comes(monkeypatch):
    monkeypatch.setenv("PITH_EMULATOR_PATIENCE", "0.2")
    body = f"""
    %zero = arith.constant 0 : i32
    %r = scf.while (%x = %zero) : (i32) -> i32 {{ // here
      %seen = memref.load %a[%c0] : {I32}
      %wait = arith.cmpi eq, %seen, %zero : i32
      scf.condition(%wait) %seen : i32
    }} do {{
    ^bb0(%y: i32):
      scf.yield %y : i32
    }}
"""
    fault, source = fault_of(body, {"a": I32}, [np.zeros(1, np.int32)])
    assert fault.kind == "deadlock" and fault.kernel == "kernel"
    assert fault.location == f"gpu level, line {line_of(source, '// here')}: scf.while"
    assert "nothing in the launch has moved for 0.2 s" in str(fault)


def test_more_stack_than_a_fiber_has():
    """A private array of 300 KiB: found by the words at the end of the stack."""
    body = f"""
    %x = arith.constant 1.0 : f32
    %n = arith.constant 76000 : index
    %p = memref.alloca() : memref<76000xf32>
    scf.for %i = %c0 to %n step %c1 {{
      %j = memref.load %a[%c0] : {I32}
      %k = arith.index_cast %j : i32 to index
      %at = arith.addi %i, %k : index
      memref.store %x, %p[%at] : memref<76000xf32>
    }}
    %y = memref.load %p[%t] : memref<76000xf32>
    memref.store %y, %b[%t] : {F32}
"""
    fault, _ = fault_of(body, {"a": I32, "b": F32}, [np.zeros(1, np.int32), np.zeros(64, np.float32)], threads=2)
    assert fault.kind == "stack-overflow"


def test_a_launch_no_gpu_takes():
    fault, _ = fault_of("", {"a": F32}, [np.zeros(1, np.float32)], threads=1025)
    assert fault.kind == "invalid" and "1025 threads" in str(fault)


def test_the_next_launch_is_not_affected():
    body = f"    %x = memref.load %a[%t] : {F32}\n    memref.store %x, %a[%t] : {F32}"
    for _ in range(3):
        fault_of(body, {"a": F32}, [np.zeros(31, np.float32)])
        pith.compile(program(body, {"a": F32}), target="emulate:sm_90")(np.zeros(32, np.float32))


@pytest.mark.parametrize("name, text", [("PATIENCE", "abc"), ("PATIENCE", "-1"), ("PATIENCE", "0"), ("CHECKS", "no")])
def test_variables_that_say_nothing_are_refused(name, text, monkeypatch):
    monkeypatch.setenv(f"PITH_EMULATOR_{name}", text)
    with pytest.raises(pith.ArgumentError, match=f"PITH_EMULATOR_{name}: expects .*, got '{text}'"):
        body = f"    %x = memref.load %a[%t] : {F32}\n    memref.store %x, %a[%t] : {F32}"
        pith.compile(program(body, {"a": F32}), target="emulate:sm_90")(np.zeros(32, np.float32))


def test_without_checks_memory_is_not_guarded(monkeypatch):
    monkeypatch.setenv("PITH_EMULATOR_CHECKS", "0")
    body = f"    %y = memref.load %s[%t] : {TILE}\n    memref.store %y, %a[%t] : {F32}"
    a = np.zeros(32, np.float32)
    pith.compile(program(body, {"a": F32}, static=STATIC), target="emulate:sm_90")(a)
    assert np.isnan(a).all()  # shared memory begins as bytes of 0xFF


def test_an_op_without_an_emulation_is_named():
    with pytest.raises(pith.PassError, match=r"'nvvm\.elect\.sync' op has no emulation"):
        pith.compile(program("    %p = nvvm.elect.sync -> i1", {"a": F32}), target="emulate:sm_90")


GATHER = """
#id = affine_map<(d0) -> (d0)>
func.func @gather(%table: tensor<?xf32>, %at: tensor<4xi32>, %out: tensor<4xf32>) -> tensor<4xf32> {
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
    ins(%at : tensor<4xi32>) outs(%out : tensor<4xf32>) {
  ^bb0(%i: i32, %old: f32):
    %place = arith.index_cast %i : i32 to index
    %v = tensor.extract %table[%place] : tensor<?xf32>
    linalg.yield %v : f32
  } -> tensor<4xf32>
  return %r : tensor<4xf32>
}
"""


def test_a_generated_kernel_is_traced_back_to_its_op():
    """An index beyond the table: the kernel reads past its end, and the op it stands for is named."""
    kernel = pith.compile(GATHER, target="emulate:sm_90")
    with pytest.raises(pith.KernelFault) as caught:
        kernel(np.zeros(3, np.float32), np.array([0, 1, 2, 7], np.int32), np.zeros(4, np.float32))
    fault = caught.value
    assert fault.kind == "out-of-bounds" and fault.origin.startswith("pith level, line ")
    line = int(fault.location.removeprefix("gpu level, line ").partition(":")[0])
    assert "memref.load" in (read := kernel.ir("gpu").splitlines()[line - 1]) and ": memref<?xf32>" in read
